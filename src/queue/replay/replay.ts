import { Job, type Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { OrderExpiryError } from '../../errors.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { Connection } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { systemClock } from '../../runtime/clock.ts'
import { withTimeout } from '../../runtime/timeout.ts'
import { JOB_NAME } from '../contract.ts'
import { openQueue } from '../open-queue.ts'
import { type FailedJob, failedPages } from './failed-set.ts'
import { codeOf, type FailureCode, type OrderResult, type Selection, type Selector, selectorOf } from './selection.ts'

/** A check that was given up and is selected. */
export type GivenUp = Pick<FailedJob, 'jobId' | 'failedReason'> & { code: FailureCode }

export interface Replay {
  /** How many failed checks there were at the start, and how many of them were read. */
  failed: number
  lookedAt: number
  /** Those that were selected, and by code; those gone before their code could be read are in `found` only. */
  found: number
  byCode: Partial<Record<FailureCode, number>>
  /** Back in the queue, to be checked now. */
  replayed: number
  /** Replayed or removed by somebody else meanwhile. A dry run does not count them as `found`. */
  gone: number
  /** Left out because they can never succeed, by code. */
  leftOut: Partial<Record<FailureCode, number>>
  /** For a selection by order. */
  orders?: { orderId: string; result: OrderResult }[]
  stopped?: true
  /** Why it ended half-way. The counts are still right. */
  error?: OrderExpiryError
}

export interface ReplayOptions {
  redis: RedisAddress
  queue: NamedQueue
  selection: Selection
  /** Only finds. Default false. */
  dryRun?: boolean
  /** For each one selected, before it is replayed. */
  onFound?: (check: GivenUp) => void
  /** After each page. */
  onProgress?: (soFar: Readonly<Replay>) => void
  /** Stops it between two pages. */
  signal?: AbortSignal
}

const CALL_TIMEOUT_MS = 5_000
/** What BullMQ's script answers if the job is not in the failed set, or not there at all. */
const GONE_CODES: readonly unknown[] = [-3, -1]

/**
 * Puts checks that were given up back into the queue, behind what is due already, with all their attempts before them.
 * The store decides about them as about any other, so a paid order stays.
 *
 * Those given up before the start are replayed at most once; one that fails again is not replayed again. May be stopped
 * at any time, run again, and run beside workers and other replays: each job is moved by one atomic script.
 *
 * @throws {OrderExpiryError} INVALID_ORDER_ID, REDIS_UNAVAILABLE, REDIS_REFUSED: then nothing was changed. If Redis fails
 *   later, the result says so
 */
export async function replay(options: ReplayOptions): Promise<Replay> {
  const { redis: address, queue: named } = options
  const selector = selectorOf(options.selection)
  const connection = new Connection({ address, profile: commandProfile(address, CALL_TIMEOUT_MS) })
  const { redis } = connection
  try {
    await withTimeout({ work: connection.untilReady(), ms: CALL_TIMEOUT_MS, clock: systemClock })
    // A dry run must not write, and a queue's own settings are not ours to write anyway.
    const queue = openQueue({ queue: named, redis, readOnly: true })
    const failed = await redis.zcard(named.keys.failed)
    const result: Replay = { failed, lookedAt: 0, found: 0, byCode: {}, replayed: 0, gone: 0, leftOut: {} }
    await replayPages({ redis, queue, selector, result, options }).catch((error) => {
      result.error = connection.explain(error)
    })
    if (selector.orders) result.orders = Array.from(selector.orders, ([orderId, end]) => ({ orderId, result: end }))
    return result
  } catch (error) {
    throw connection.explain(error)
  } finally {
    connection.close()
  }
}

interface Context {
  redis: Redis
  queue: Queue
  selector: Selector
  result: Replay
  options: ReplayOptions
}

async function replayPages(context: Context): Promise<void> {
  const { redis, selector, result, options } = context
  for await (const page of failedPages({ redis, keys: options.queue.keys, withData: selector.orders !== undefined })) {
    // Those moved before the call for another one fails are counted too.
    const ends = await Promise.allSettled(page.map((job) => lookAt(job, context)))
    const failure = ends.find((end) => end.status === 'rejected')
    if (failure) throw failure.reason
    options.onProgress?.(result)
    if (options.signal?.aborted) {
      result.stopped = true
      return
    }
  }
}

/** Counts a check; if it is selected, reports it and, unless this is a dry run, replays it. */
async function lookAt(job: FailedJob, { queue, selector, result, options }: Context): Promise<void> {
  const { jobId, failedReason, isGone } = job
  const { dryRun, onFound } = options
  result.lookedAt++
  const code = codeOf(failedReason ?? '')
  const choice = selector.choose(job, code)
  if (choice === 'left-out') count(result.leftOut, code)
  if (choice !== 'selected') return
  if (!(isGone && dryRun)) result.found++
  if (!isGone) {
    count(result.byCode, code)
    onFound?.({ jobId, code, failedReason })
  }
  const became = isGone ? 'gone' : dryRun ? 'found' : await retry(jobId, queue)
  if (became !== 'found') result[became]++
  selector.note?.(job, became)
}

function count(counts: Partial<Record<FailureCode, number>>, code: FailureCode): void {
  counts[code] = (counts[code] ?? 0) + 1
}

async function retry(jobId: string, queue: Queue): Promise<'replayed' | 'gone'> {
  try {
    // Its own data and options stay where they are: the script only moves the id.
    const job = new Job(queue, JOB_NAME, {}, {}, jobId)
    await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true })
    return 'replayed'
  } catch (error) {
    if (GONE_CODES.includes((error as { code?: unknown } | null)?.code)) return 'gone'
    throw error
  }
}
