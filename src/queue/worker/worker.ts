import { AsyncResource } from 'node:async_hooks'
import { type ConnectionOptions, DelayedError, Job, type Telemetry, UnrecoverableError, type Worker } from 'bullmq'
import { asOrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import { decide } from '../../order/decide.ts'
import type { Check, Outcome } from '../../order/order.ts'
import type { Settle, Settlement } from '../../order/settle.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { asRedisError } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { workerProfile } from '../../redis/profiles.ts'
import { isRedisRefusal } from '../../redis/reply.ts'
import { Batcher } from '../../runtime/batcher.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Heartbeat } from '../../runtime/heartbeat.ts'
import { retryUntilDone } from '../../runtime/retry.ts'
import type { Service } from '../../runtime/service.ts'
import { untilAborted } from '../../runtime/timeout.ts'
import { type FinishedCheck, parseJob } from '../contract.ts'
import { NOTES_KEPT, noteOf } from '../view/check-notes.ts'
import { CheckWorker } from './check-worker.ts'

export interface WorkerOptions {
  redis: RedisAddress
  queue: NamedQueue
  /** Checks in flight at once. */
  concurrency: number
  /** Checks in one statement at most. */
  batchSize: number
  /** Batches in flight at once: as many as the store has connections for them. */
  maxBatches: number
  /** Failures after which a check is given up. Postponements and outages are not failures. */
  maxAttempts: number
  /** The deadline of jobs that have none, counted from when they were added. */
  paymentTimeoutMs: number
  settle: Settle
  /** Who decides, for the evidence: `host:pid`. */
  decidedBy: string
  /** Beats as long as checks are fetched. */
  heartbeat: Heartbeat
  /** Whether Redis does not answer, as far as is known. */
  isRedisAway: () => boolean
  /** Sends Redis a command that does nothing. */
  ring: () => Promise<unknown>
  /** Undefined: nothing is traced. */
  telemetry?: Telemetry | undefined
  events: EventBus
  clock: Clock
}

/** A lock survives a pause of this length; a crashed worker's jobs are taken over after it and one stalled check. */
const LOCK_MS = 15_000
const STALLED_CHECK_MS = 10_000
/** Stalling says something about workers, never about the order, so it must not fail its job. */
const MAX_STALLED = 1_000_000
const RUN_RETRY_MS = 500
/** About what a statement takes; a check that has just come is later by no more, and batches are larger for it. */
const BATCH_PATIENCE_MS = 5
/** What two clocks that are both kept right can differ by, and more. */
const NOT_DUE_WAIT_MS = 200
/** How often a stop looks whether there is still something to wait for. */
const STOP_LOOK_MS = 100
/** Redis takes in what became of the last batch within this time, or is away. */
const STOP_IDLE_MS = 5_000
/** The last instant that a Date can hold. */
const LAST_DATE_MS = 8.64e15

export interface WorkerService extends Service {
  /** Takes no further checks until {@link goOn}; those in flight go on. */
  hold(): void
  goOn(): void
}

/** The worker pool as a service: takes due checks from the queue, settles them in batches, records what became of them. */
export function createWorkerService(options: WorkerOptions): WorkerService {
  const { redis, isRedisAway, events, clock } = options
  const batcher = new Batcher({
    run: options.settle,
    maxBatch: options.batchSize,
    maxInFlight: options.maxBatches,
    patienceMs: BATCH_PATIENCE_MS,
    clock,
  })
  let worker: Worker | undefined
  let isHeld = false
  let stopping: Promise<void> | undefined

  return {
    name: 'worker',
    async start(signal) {
      await retryUntilDone({
        attempt: async () => {
          worker = createWorker(options, batcher)
          if (isHeld) void worker.pause(true) // before it fetches anything
          try {
            await untilAborted(worker.waitUntilReady(), signal)
          } catch (error) {
            await worker.close(true).catch(() => {})
            worker = undefined
            throw error
          }
        },
        isRetryable: (error) => !isRedisRefusal(error),
        onWait: (error, waitMs) =>
          events.emit('waiting-for', { service: 'redis', error: asRedisError(error, redis), waitMs }),
        clock,
        signal,
      })
    },
    // Called from within a check, whose trace the loop must not go on in.
    hold: AsyncResource.bind(() => {
      isHeld = true
      // Does not wait for the checks in flight: they are about to be postponed.
      worker?.pause(true).catch((error: Error) => events.emit('worker-error', { error }))
    }),
    goOn: AsyncResource.bind(() => {
      isHeld = false
      // Reports its own errors.
      void worker?.resume()
    }),
    stop() {
      stopping ??= worker ? close(worker) : Promise.resolve()
      return stopping
    },
  }

  /** Waits for the checks in flight; whoever calls stop limits how long. */
  async function close(closing: Worker): Promise<void> {
    const closed = new AbortController()
    const done = closing.close().finally(() => closed.abort())
    let idleSince: number | undefined
    while (!closed.signal.aborted) {
      idleSince = batcher.isIdle ? (idleSince ?? clock.monotonic()) : undefined
      if (idleSince !== undefined && (isRedisAway() || clock.monotonic() - idleSince > STOP_IDLE_MS)) {
        // BullMQ waits for ever to tell Redis what became of the checks, or for the end of a connection that has none,
        // even where Redis is back by now. They are decided: whoever is handed one of them again finds that.
        void closing.disconnect().catch(() => {})
        return
      }
      await clock.sleep(STOP_LOOK_MS, closed.signal).catch(() => {})
    }
    await done
  }
}

function createWorker(options: WorkerOptions, batcher: Batcher<Check, Settlement>): Worker {
  const { redis, queue, concurrency, events } = options
  const worker: Worker = new CheckWorker(
    queue.name,
    (job, token) => check({ job, token, batcher, worker: () => worker, options }),
    {
      connection: workerProfile(redis) as ConnectionOptions,
      prefix: queue.prefix,
      concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: MAX_STALLED,
      runRetryDelay: RUN_RETRY_MS,
      settings: { backoffStrategy: () => RUN_RETRY_MS },
      heartbeat: options.heartbeat,
      ring: options.ring,
      ...(options.telemetry && { telemetry: options.telemetry }),
      clock: options.clock,
    },
  )
  worker.on('error', (error) => events.emit('worker-error', { error }))
  return worker
}

/** One job, from fetch to its end: decide, then do, then record. */
async function check(context: {
  job: Job
  token: string | undefined
  batcher: Batcher<Check, Settlement>
  worker: () => Worker
  options: WorkerOptions
}): Promise<FinishedCheck> {
  const { job, token, batcher, options } = context
  const { events, clock, paymentTimeoutMs, maxAttempts, decidedBy } = options
  const jobId = job.id as string
  // Retention (`retention.ts`) and retries are ours, whatever the producer wrote on the job: a change of policy must reach
  // the orders already waiting, and the evidence must stay.
  Object.assign(job.opts, {
    removeOnComplete: undefined,
    removeOnFail: undefined,
    attempts: maxAttempts,
    backoff: undefined,
  })
  let wanted: Check
  try {
    wanted = parseJob(job, { now: clock.now(), paymentTimeoutMs })
  } catch (cause) {
    const error = asOrderExpiryError(cause)
    events.emit('check-given-up', { jobId, error })
    throw new UnrecoverableError(`${error.code}: ${error.message}`)
  }
  const { orderId } = wanted
  const settlement = await settleWhenDue({ wanted, batcher, clock })
  const step = decide({ settlement, started: job.attemptsStarted, failed: job.attemptsMade, maxAttempts })
  switch (step.kind) {
    case 'finish': {
      const finished = describeOutcome(step.outcome, wanted, decidedBy)
      const { status, outcome } = finished
      const { decidedAt, deadline = wanted.deadline } = step.outcome.evidence
      const { processedOn: begunAt = decidedAt } = job
      events.emit('check-finished', {
        orderId,
        jobId,
        outcome,
        status,
        lateMs: decidedAt - deadline,
        begunLateMs: begunAt - deadline,
      })
      return finished
    }
    case 'postpone':
      events.emit('check-postponed', { orderId, jobId, delayMs: step.delayMs, why: step.why })
      void note({ job, clock, what: `check postponed by ${step.delayMs} ms: ${step.why}` })
      await job.moveToDelayed(clock.now() + step.delayMs, token)
      await followReschedule({ job, worker: context.worker(), clock })
      throw new DelayedError()
    case 'retry':
      events.emit('check-retried', { orderId, jobId, delayMs: step.delayMs, error: step.error })
      void note({ job, clock, what: `check failed, again in ${step.delayMs} ms: ${step.error.code}` })
      job.opts.backoff = { type: 'fixed', delay: step.delayMs }
      throw new Error(`${step.error.code}: ${step.error.message}`, { cause: step.error })
    case 'give-up':
      events.emit('check-given-up', { orderId, jobId, error: step.error })
      throw new UnrecoverableError(`${step.error.code}: ${step.error.message}`)
  }
}

/** Kept on the job for whoever asks later what became of it. Nothing waits for it, and it never rejects: it is worth no check. */
async function note({ job, clock, what }: { job: Job; clock: Clock; what: string }): Promise<void> {
  job.opts.keepLogs = NOTES_KEPT
  await job.log(noteOf(clock.now(), what)).catch(() => {})
}

/** Where the store's clock is a little behind ours, its deadline is waited for here: Redis need not be told. */
async function settleWhenDue(context: {
  wanted: Check
  batcher: Batcher<Check, Settlement>
  clock: Clock
}): Promise<Settlement> {
  const { wanted, batcher, clock } = context
  const settlement = await batcher.add(wanted)
  if (settlement.kind !== 'postponed' || settlement.reason !== 'not-due') return settlement
  const leftMs = settlement.until - settlement.evidence.decidedAt
  if (leftMs > NOT_DUE_WAIT_MS) return settlement
  await clock.sleep(Math.max(1, leftMs))
  return batcher.add(wanted)
}

/**
 * While a check is under way, `reschedule` can only change the job's data; what it has written there since the fetch counts
 * for the time at which the check comes again.
 */
async function followReschedule(context: { job: Job; worker: Worker; clock: Clock }): Promise<void> {
  const { job, worker, clock } = context
  const fresh = await Job.fromId(worker, job.id as string).catch(() => undefined) // the job is where it belongs already
  const deadline = (fresh?.data as { deadline?: unknown } | undefined)?.deadline
  if (typeof deadline !== 'number' || deadline === (job.data as { deadline?: unknown }).deadline) return
  await fresh?.changeDelay(Math.max(0, deadline - clock.now())).catch(() => {}) // it may be due and fetched again by now
}

function describeOutcome(
  outcome: Exclude<Outcome, { kind: 'postponed' }>,
  wanted: Check,
  decidedBy: string,
): FinishedCheck {
  const { status, paid, deadline = wanted.deadline, decidedAt } = outcome.evidence
  return {
    outcome: outcome.kind,
    ...(status !== undefined && { status }),
    ...(paid && { paid }),
    deadline: new Date(Math.min(deadline, LAST_DATE_MS)).toISOString(),
    decidedAt: new Date(decidedAt).toISOString(),
    decidedBy,
  }
}
