import type { Job, Worker } from 'bullmq'
import { asOrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import { nextStep } from '../../order/next-step.ts'
import type { Check } from '../../order/order.ts'
import type { Settlement } from '../../order/settle.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type FinishedCheck, parseJob } from '../contract.ts'
import { wasLeftBehind } from '../left-behind.ts'
import type { Lanes } from './lanes.ts'
import { giveUp, overridePolicy, record } from './record.ts'

/** More than two clocks that are both kept right differ by. */
const NOT_DUE_WAIT_MS = 200

export interface CheckOptions {
  /** Failures after which a check is given up. Postponements and outages are not failures. */
  maxAttempts: number
  /** The deadline of jobs that have none, counted from when they were added. */
  paymentTimeoutMs: number
  /** Who decides, for the evidence: `host:pid`. */
  decidedBy: string
  /** Told of each job when it is begun for the first time. */
  onFirstSeen?: (job: { jobId: string; data: unknown }) => void
  events: EventBus
  /** That of Redis. */
  clock: Clock
}

/** One job, from fetch to its end: read, settle, decide what comes next, record it. Resolves and rejects as BullMQ wants it. */
export async function check(context: {
  job: Job
  worker: Worker
  lanes: Lanes
  options: CheckOptions
}): Promise<FinishedCheck> {
  const { job, worker, lanes, options } = context
  const { maxAttempts, decidedBy, onFirstSeen, events, clock } = options
  if (job.attemptsStarted <= 1) onFirstSeen?.({ jobId: job.id as string, data: job.data })
  overridePolicy(job, maxAttempts)
  const wanted = read(job, options)
  const settle = () => lanes.add(wanted, { isLeftBehind: wasLeftBehind(job) })
  const settlement = await settleWhenDue(settle, clock)
  const step = nextStep({
    settlement,
    started: job.attemptsStarted,
    failed: job.attemptsMade,
    maxAttempts,
    now: clock.now(),
  })
  return record({ job, worker, wanted, step, decidedBy, events, clock })
}

function read(job: Job, { paymentTimeoutMs, events, clock }: CheckOptions): Check {
  try {
    return parseJob(job, { now: clock.now(), paymentTimeoutMs })
  } catch (cause) {
    const error = asOrderExpiryError(cause)
    events.emit('check-given-up', { jobId: job.id as string, error })
    return giveUp(error)
  }
}

/** Where the store's clock is a little behind ours, the check waits here for its deadline, without a word to Redis. */
async function settleWhenDue(settle: () => Promise<Settlement>, clock: Clock): Promise<Settlement> {
  const settlement = await settle()
  if (settlement.kind !== 'postponed' || settlement.reason !== 'not-due') return settlement
  const leftMs = settlement.until - settlement.evidence.decidedAt
  if (leftMs > NOT_DUE_WAIT_MS) return settlement
  await clock.sleep(Math.max(1, leftMs))
  return settle()
}
