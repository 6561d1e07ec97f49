import { OrderExpiryError } from '../errors.ts'
import { systemClock } from '../runtime/clock.ts'
import { addIfAbsent, type JobBefore } from './add-if-absent.ts'
import type { OpenQueue } from './check-queue.ts'
import { deadlineOf, jobIdOf, type Placement } from './contract.ts'
import { LEFT_BEHIND_PRIORITY } from './left-behind.ts'
import { UnreadableData } from './unreadable-data.ts'
import { NOTES_KEPT, noteOf } from './view/check-notes.ts'

/**
 * How orders are packed: batch size, and batches in flight, so that the next one is made while Redis works.
 * This holds up neither Redis nor our own process: one script takes a millisecond, three where it is BullMQ's own, and not
 * all orders are sent, nor all answers read, in one turn of the event loop.
 */
export const PACKETS = { maxBatch: 50, maxInFlight: 4 } as const

const MOST_ROUNDS_OF_ADDING = 40
const REPLACE_WAIT_MS = 20
const REPLACE_LOCK_MS = 5_000

/**
 * Places a job for each order, in one piece: no more orders than {@link PACKETS} says.
 *
 * @param options.keepsDecided a finished check of the same deadline that has cancelled the order is found, and not replaced: it
 *   is the same call again, and the evidence stays
 * @param options.isLate nothing more is sent once it says yes, and the promise rejects
 * @returns for each order: undefined where its job is new, the unfinished job that it already had, or the error where Redis
 *   refuses the job or somebody else is replacing it
 */
export async function placeJobs(
  open: OpenQueue,
  placements: readonly Placement[],
  { isLate = () => false, keepsDecided = false }: { isLate?: () => boolean; keepsDecided?: boolean } = {},
): Promise<(JobBefore | Error | undefined)[]> {
  stopIfLate(isLate)
  const found = await addIfAbsent(open, placements)
  const isInTheWay = (job: JobBefore | Error | undefined, index: number) => {
    if (job === undefined || job instanceof Error || !job.isFinished) return false
    return !(keepsDecided && job.cancelledAt && job.deadline === placements[index]?.deadline)
  }
  // A second round for those whose earlier check has finished; more only while somebody else replaces the same ones.
  for (let round = 1; found.some(isInTheWay); round++) {
    const indexes = [...found.keys()].filter((index) => isInTheWay(found[index], index))
    const wanted = indexes.map((index) => placements[index] as Placement)
    await Promise.all(wanted.map(({ orderId }) => removeFinished(open, jobIdOf(orderId))))
    if (round > 1) await systemClock.sleep(REPLACE_WAIT_MS)
    stopIfLate(isLate)
    const again = round < MOST_ROUNDS_OF_ADDING ? await addIfAbsent(open, wanted) : wanted.map(beingReplaced)
    for (const [at, index] of indexes.entries()) {
      const { cancelledAt } = found[index] as JobBefore
      found[index] = again[at]
      if (!cancelledAt || again[at]) continue
      // The evidence went with that check. If the note is lost, the new check is there all the same.
      const { orderId, placedAt } = wanted[at] as Placement
      const note = noteOf(placedAt, `replaces a check that cancelled the order at ${cancelledAt}`)
      await open.queue.addJobLog(jobIdOf(orderId), note, NOTES_KEPT).catch(() => {})
    }
  }
  return found
}

function stopIfLate(isLate: () => boolean): void {
  if (isLate()) throw new OrderExpiryError('REDIS_UNAVAILABLE', 'too late')
}

function beingReplaced(): OrderExpiryError {
  const why = 'its finished check is being replaced by somebody else; try again'
  return new OrderExpiryError('REDIS_UNAVAILABLE', why)
}

/**
 * Moves the job of an order to another deadline, or places one. `checking`: its check is under way, and has read the old
 * deadline already.
 */
export async function moveJob(
  open: OpenQueue,
  placement: Placement,
): Promise<'rescheduled' | 'unchanged' | 'scheduled' | 'checking'> {
  const { orderId, deadline } = placement
  const [found] = await placeJobs(open, [placement])
  if (!found) return 'scheduled'
  if (found instanceof Error) throw found
  const job = await open.queue.getJob(jobIdOf(orderId))
  if (!job) return moveJob(open, placement)
  if (job.data instanceof UnreadableData) {
    // With other data or another delay it would still fail.
    return (await open.queue.remove(jobIdOf(orderId))) === 1 ? moveJob(open, placement) : 'checking'
  }
  const before = deadlineOf(job)
  const isSame = before === deadline
  // The data first: if we die in between, the check comes at the old time, sees the new deadline, and waits for it.
  if (!isSame) {
    await job.updateData({ ...job.data, orderId, deadline })
    const from = before === undefined ? '' : ` from ${new Date(before).toISOString()}`
    const what = `deadline moved${from} to ${new Date(deadline).toISOString()}`
    await open.queue.addJobLog(jobIdOf(orderId), noteOf(systemClock.now(), what), NOTES_KEPT)
    // With a new deadline, its order is as if it had never been left behind.
    if (job.priority === LEFT_BEHIND_PRIORITY) await job.changePriority({ priority: job.opts.priority ?? 0 })
  }
  const state = await job.getState()
  // Even to the same deadline: an earlier call may have written it and then failed.
  if (state === 'delayed') {
    const delayMs = deadline - systemClock.now()
    // BullMQ would count a delay of 0 from our own clock, which may be ahead. If the check comes early, it is postponed.
    await (delayMs > 0 ? job.changeDelay(delayMs) : job.promote()).catch(async (error: unknown) => {
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
