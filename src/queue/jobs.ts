import { OrderExpiryError } from '../errors.ts'
import { systemClock } from '../runtime/clock.ts'
import type { OpenQueue } from './check-queue.ts'
import { jobIdOf, type Placement } from './contract.ts'
import { NOTES_KEPT, noteOf } from './view/check-notes.ts'

/** Orders that are sent together, and how often before there is an answer: Redis has work, and never much of it. */
const PACKET = 16
const UNDER_WAY = 4
const MAX_ROUNDS = 40
const REPLACE_WAIT_MS = 20
const REPLACE_LOCK_MS = 5_000

/** BullMQ keeps the time in the high bits of a delayed job's score; the low ones order jobs of the same millisecond. */
const SCORES_OF_A_MS = 0x1000

/** When a delayed job is due, in epoch milliseconds, given its score in the sorted set (`getDelayedScore` in BullMQ's scripts). */
export function dueAtOf(score: number): number {
  return Math.floor(score / SCORES_OF_A_MS)
}

/** The least score of a job that is due at this time. */
export function scoreOf(dueAt: number): number {
  return dueAt * SCORES_OF_A_MS
}

/**
 * Adds a job for each placement.
 *
 * @param options.keepsDecided a finished check of the same deadline that has cancelled the order is found, and not replaced: it
 *   is the same call again, and the evidence stays
 * @param options.isLate is asked before each packet; nothing more is sent once it says yes, and the promise rejects
 * @returns for those that already had an unfinished job, what was found; for those that Redis refuses or somebody else is
 *   replacing, the error
 */
export async function addJobs(
  queues: OpenQueue,
  placements: readonly Placement[],
  { isLate = () => false, keepsDecided = false }: { isLate?: () => boolean; keepsDecided?: boolean } = {},
): Promise<Map<Placement, { deadline: number } | Error>> {
  const found = new Map<Placement, { deadline: number } | Error>()
  let missing = placements
  // A second round for those whose earlier check has finished; more only while somebody else replaces the same ones.
  for (let round = 0; missing.length > 0 && round < MAX_ROUNDS; round++) {
    if (round > 1) await systemClock.sleep(REPLACE_WAIT_MS)
    const finished: Placement[] = []
    const before = await inPackets(missing, (part) => {
      if (isLate()) throw new OrderExpiryError('REDIS_UNAVAILABLE', 'too late')
      return queues.addition.add(queues.queue, part)
    })
    for (let n = 0; n < missing.length; n++) {
      const job = before[n]
      if (!job) continue
      const placement = missing[n] as Placement
      if (job instanceof Error) found.set(placement, job)
      else if (!job.isFinished || (keepsDecided && job.hasCancelled && job.deadline === placement.deadline))
        found.set(placement, job)
      else finished.push(placement)
    }
    if (finished.length === 0) return found
    await Promise.all(finished.map(({ orderId }) => removeFinished(queues, jobIdOf(orderId))))
    missing = finished
  }
  for (const placement of missing) {
    const why = 'its finished check is being replaced by somebody else; try again'
    found.set(placement, new OrderExpiryError('REDIS_UNAVAILABLE', why))
  }
  return found
}

/**
 * A few packets are under way, so that the next one is made while Redis works. Waiting for their answers leaves room for
 * whatever else the process does: not all orders are sent, nor all answers read, in one turn of the event loop.
 */
function inPackets<Result>(
  placements: readonly Placement[],
  run: (part: readonly Placement[]) => Promise<Result[]>,
): Promise<Result[]> {
  if (placements.length <= PACKET) return run(placements)
  const results: Result[] = new Array(placements.length)
  let next = 0
  const lane = async () => {
    try {
      while (next < placements.length) {
        const start = next
        next += PACKET
        const part = await run(placements.slice(start, next))
        for (let n = 0; n < part.length; n++) results[start + n] = part[n] as Result
      }
    } catch (error) {
      next = placements.length // nothing is begun behind what has failed
      throw error
    }
  }
  return Promise.all(Array.from({ length: UNDER_WAY }, lane)).then(() => results)
}

/**
 * Moves the job of an order to another deadline, or adds one. `checking`: its check is under way, and has read the old
 * deadline already.
 */
export async function moveJob(
  queues: OpenQueue,
  placement: Placement,
): Promise<'rescheduled' | 'unchanged' | 'scheduled' | 'checking'> {
  const { orderId, deadline } = placement
  const before = (await addJobs(queues, [placement])).get(placement)
  if (!before) return 'scheduled'
  if (before instanceof Error) throw before
  const job = await queues.queue.getJob(jobIdOf(orderId))
  if (!job) return moveJob(queues, placement)
  const isSame = before.deadline === deadline
  // The data first: if we die in between, the check comes at the old time, sees the new deadline, and waits for it.
  if (!isSame || job.data.deadline === undefined) await job.updateData({ ...job.data, orderId, deadline })
  if (!isSame) {
    const what = `deadline moved from ${new Date(before.deadline).toISOString()} to ${new Date(deadline).toISOString()}`
    await queues.queue.addJobLog(jobIdOf(orderId), noteOf(systemClock.now(), what), NOTES_KEPT)
  }
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

/**
 * BullMQ keeps finished jobs and then ignores an add of the same id, so the old one must go. One client at a time: between
 * looking and removing, another one may have put a new job in its place.
 */
async function removeFinished({ queue, redis, keys }: OpenQueue, jobId: string): Promise<void> {
  const lock = keys.replacing(jobId)
  if ((await redis.set(lock, '1', 'PX', REPLACE_LOCK_MS, 'NX')) !== 'OK') return
  try {
    if (await redis.hexists(keys.job(jobId), 'finishedOn')) await queue.remove(jobId)
  } finally {
    await redis.del(lock)
  }
}
