import { Job, type Queue, type RedisClient } from 'bullmq'
import { OrderExpiryError } from '../errors.ts'
import { parseContractDeadline } from '../order/deadline.ts'
import { systemClock } from '../runtime/clock.ts'
import { type FinishedCheck, JOB_NAME, type JobData, jobIdOf, jobOptionsOf } from './contract.ts'
import type { FoundOrder } from './results.ts'

/** Orders in one transaction: few enough that Redis serves others in between. */
const TRANSACTION = 50

/** An order that is to be checked. Times are epoch milliseconds. */
export interface Placement {
  orderId: string
  deadline: number
  placedAt: number
}

/**
 * Adds a job for each placement.
 *
 * BullMQ does not say whether a job id existed, so each job is read in the transaction that adds it.
 *
 * @returns for those that already had an unfinished job, what was found
 */
export async function addJobs(
  queue: Queue<JobData>,
  placements: readonly Placement[],
): Promise<Map<Placement, { deadline: number }>> {
  const client = await queue.getBackend().client
  const found = new Map<Placement, { deadline: number }>()
  let missing = placements
  // A second round for those whose earlier check has finished; more only if somebody else schedules them meanwhile.
  for (let round = 0; missing.length > 0 && round < 5; round++) {
    const chunks = []
    for (let start = 0; start < missing.length; start += TRANSACTION) {
      chunks.push(addInTransaction({ queue, client, placements: missing.slice(start, start + TRANSACTION) }))
    }
    const finished: Placement[] = []
    for (const { placement, before } of (await Promise.all(chunks)).flat()) {
      if (before?.finishedOn) finished.push(placement)
      else if (before) found.set(placement, { deadline: deadlineOf(before) ?? placement.deadline })
    }
    // BullMQ keeps finished jobs and then ignores an add of the same id.
    await Promise.all(finished.map(({ orderId }) => queue.remove(jobIdOf(orderId))))
    missing = finished
  }
  if (missing.length > 0) {
    throw new OrderExpiryError(
      'REDIS_UNAVAILABLE',
      'a finished check keeps coming back while it is replaced; try again',
    )
  }
  return found
}

export async function moveJob(
  queue: Queue<JobData>,
  placement: Placement,
): Promise<'rescheduled' | 'unchanged' | 'scheduled'> {
  const found = await addJobs(queue, [placement])
  const before = found.get(placement)
  if (!before) return 'scheduled'
  if (before.deadline === placement.deadline) return 'unchanged'
  const job = await queue.getJob(jobIdOf(placement.orderId))
  if (!job) return moveJob(queue, placement)
  // The data first: if we die in between, the check comes at the old time, sees the new deadline, and waits for it.
  await job.updateData({ ...job.data, orderId: placement.orderId, deadline: placement.deadline })
  // A job that is due or being checked has left the delayed set; the worker then finds the new deadline by itself.
  if (await job.isDelayed()) {
    await job.changeDelay(Math.max(0, placement.deadline - systemClock.now())).catch(async (error: unknown) => {
      if (await job.isDelayed()) throw error
    })
  }
  return 'rescheduled'
}

async function addInTransaction(options: {
  queue: Queue<JobData>
  client: RedisClient
  placements: readonly Placement[]
}): Promise<{ placement: Placement; before: Record<string, string> | undefined }[]> {
  const { queue, client, placements } = options
  const transaction = client.multi()
  for (const placement of placements) {
    const { orderId, deadline } = placement
    const { jobId, ...jobOptions } = jobOptionsOf(placement)
    transaction.hgetall(queue.toKey(jobIdOf(orderId)))
    void new Job<JobData>(queue, JOB_NAME, { orderId, deadline }, jobOptions, jobId).addJob(transaction)
  }
  const replies = (await transaction.exec()) ?? []
  return placements.map((placement, index) => {
    const [readError, before] = replies[index * 2] ?? []
    const [addError] = replies[index * 2 + 1] ?? []
    if (readError ?? addError) throw readError ?? addError
    return { placement, before: before && Object.keys(before).length > 0 ? before : undefined }
  })
}

function deadlineOf(job: { data?: unknown }): number | undefined {
  try {
    const data: unknown = typeof job.data === 'string' ? JSON.parse(job.data) : job.data
    const input = (data as { deadline?: unknown } | null)?.deadline
    return parseContractDeadline({ input, now: systemClock.now() })
  } catch {
    return undefined // somebody edited the job; its store still knows
  }
}

const STATES: Record<string, NonNullable<FoundOrder['check']>['state']> = {
  delayed: 'waiting',
  active: 'checked',
  completed: 'finished',
  failed: 'failed',
}

/** What a job says of its order's check. */
export function describeJob(job: Job<JobData>, state: string): NonNullable<FoundOrder['check']> {
  const deadline = deadlineOf(job)
  return {
    jobId: job.id as string,
    state: STATES[state] ?? 'due',
    ...(deadline !== undefined && { deadline: new Date(deadline) }),
    attempts: job.attemptsMade,
    ...(job.failedReason && { failedReason: job.failedReason }),
    ...(job.returnvalue && { finished: job.returnvalue as FinishedCheck }),
  }
}
