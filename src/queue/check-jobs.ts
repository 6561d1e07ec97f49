import { Job, type Queue, type RedisClient } from 'bullmq'
import type { Redis } from 'ioredis'
import { OrderExpiryError } from '../errors.ts'
import { parseContractDeadline } from '../order/deadline.ts'
import { systemClock } from '../runtime/clock.ts'
import { redisErrorCode } from '../runtime/redis-reply.ts'
import { type FinishedCheck, JOB_NAME, type JobData, jobIdOf, jobOptionsOf } from './contract.ts'
import type { FoundOrder } from './results.ts'

const MAX_ROUNDS = 40
const REPLACE_WAIT_MS = 20
const REPLACE_LOCK_MS = 5_000

/** The queue, and the connection that it uses. */
export interface Queues {
  queue: Queue<JobData>
  redis: Redis
}

/**
 * When a delayed job is due, in epoch milliseconds, given its score in the sorted set: BullMQ keeps the time in the high
 * bits, the low ones order jobs of the same millisecond (`getDelayedScore` in its scripts).
 */
export function dueAtOf(score: number): number {
  return Math.floor(score / 0x1000)
}

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
  queues: Queues,
  placements: readonly Placement[],
): Promise<Map<Placement, { deadline: number }>> {
  const { queue } = queues
  const client = await queue.getBackend().client
  const found = new Map<Placement, { deadline: number }>()
  let missing = placements
  // A second round for those whose earlier check has finished; more only while somebody else replaces the same ones.
  for (let round = 0; missing.length > 0 && round < MAX_ROUNDS; round++) {
    if (round > 1) await systemClock.sleep(REPLACE_WAIT_MS)
    const chunks = []
    for (let start = 0; start < missing.length; start += TRANSACTION) {
      chunks.push(addInTransaction({ queue, client, placements: missing.slice(start, start + TRANSACTION) }))
    }
    const finished: Placement[] = []
    for (const { placement, before } of (await Promise.all(chunks)).flat()) {
      if (before?.finishedOn) finished.push(placement)
      else if (before)
        found.set(placement, { deadline: deadlineOf(before) ?? Number(before.timestamp) + Number(before.delay) })
    }
    await Promise.all(finished.map(({ orderId }) => removeFinished(queues, jobIdOf(orderId))))
    missing = finished
  }
  if (missing.length > 0) {
    throw new OrderExpiryError('REDIS_UNAVAILABLE', 'a finished check is being replaced by somebody else; try again')
  }
  return found
}

/**
 * Moves the job of an order to another deadline, or adds one. `checking`: its check is under way, and has read the old
 * deadline already.
 */
export async function moveJob(
  queues: Queues,
  placement: Placement,
): Promise<'rescheduled' | 'unchanged' | 'scheduled' | 'checking'> {
  const { orderId, deadline } = placement
  const before = (await addJobs(queues, [placement])).get(placement)
  if (!before) return 'scheduled'
  const job = await queues.queue.getJob(jobIdOf(orderId))
  if (!job) return moveJob(queues, placement)
  const isSame = before.deadline === deadline
  // The data first: if we die in between, the check comes at the old time, sees the new deadline, and waits for it.
  if (!isSame || job.data.deadline === undefined) await job.updateData({ ...job.data, orderId, deadline })
  const state = await job.getState()
  // Even to the same deadline: an earlier call may have written it and then failed.
  if (state === 'delayed') {
    await job.changeDelay(Math.max(0, deadline - systemClock.now())).catch(async (error: unknown) => {
      if (await job.isDelayed()) throw error // else it has just become due, and its check will find the new deadline
    })
  }
  if (isSame) return 'unchanged'
  return state === 'active' ? 'checking' : 'rescheduled'
}

async function addInTransaction(options: {
  queue: Queue<JobData>
  client: RedisClient
  placements: readonly Placement[]
}): Promise<{ placement: Placement; before: Record<string, string> | undefined }[]> {
  const { queue, client, placements } = options
  const transaction = client.multi()
  for (const placement of placements) {
    transaction.hgetall(queue.toKey(jobIdOf(placement.orderId)))
    void newJob(queue, placement).addJob(transaction)
  }
  const replies = (await transaction.exec()) ?? []
  const results = []
  for (const [index, placement] of placements.entries()) {
    const [readError, before] = replies[index * 2] ?? []
    const [addError] = replies[index * 2 + 1] ?? []
    // Redis has forgotten its scripts (SCRIPT FLUSH, a failover). Outside of a transaction, ioredis sends them again.
    if (redisErrorCode(addError) === 'NOSCRIPT') await newJob(queue, placement).addJob(client)
    else if (readError ?? addError) throw readError ?? addError
    results.push({ placement, before: before && Object.keys(before).length > 0 ? before : undefined })
  }
  return results
}

function newJob(queue: Queue<JobData>, placement: Placement): Job<JobData> {
  const { orderId, deadline } = placement
  const { jobId, ...jobOptions } = jobOptionsOf(placement)
  return new Job<JobData>(queue, JOB_NAME, { orderId, deadline }, jobOptions, jobId)
}

/**
 * BullMQ keeps finished jobs and then ignores an add of the same id, so the old one must go. One client at a time: between
 * looking and removing, another one may have put a new job in its place.
 */
async function removeFinished({ queue, redis }: Queues, jobId: string): Promise<void> {
  const lock = `${queue.toKey(jobId)}:replacing`
  if ((await redis.set(lock, '1', 'PX', REPLACE_LOCK_MS, 'NX')) !== 'OK') return
  try {
    if (await redis.hexists(queue.toKey(jobId), 'finishedOn')) await queue.remove(jobId)
  } finally {
    await redis.del(lock)
  }
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
