import type { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { createLoop } from '../runtime/loop.ts'
import type { Service } from '../runtime/service.ts'
import type { Connection } from './connection.ts'
import type { NamedQueue } from './keys.ts'
import { isRedisRejection } from './reply.ts'

/** A connection that is lost and back at once is no outage. */
const AFTER_CHANGE_MS = 100

export interface RedisWatch extends Service {
  /** Why Redis did not answer, or took no writes, when it was last asked; undefined if it did. */
  readonly failure: OrderExpiryError | undefined
  /** Somebody else had trouble with Redis: looks soon, unless it is known to be away. */
  look(): void
}

/**
 * Looks every few seconds whether Redis answers, and still has what it had: if a key of ours has vanished, so have the jobs.
 * It looks at once when the connection is lost, and when there is one again.
 *
 * @param options.everyMs the longest pause between two looks
 * @param options.onBack it answers and takes writes again after an outage or a reconnection; some writes may be lost
 * @param options.onFailure it does not answer, or takes no writes; after each such look
 * @param options.onLost it has been emptied
 * @param options.onTick after each look
 */
export function createRedisWatch(options: {
  connection: Connection
  queue: NamedQueue
  everyMs: number
  onBack: () => void
  onFailure: (failure: OrderExpiryError) => void
  onLost: () => void
  onTick: () => void
  clock: Clock
}): RedisWatch {
  const { connection, queue, everyMs, onBack, onFailure, onLost, onTick, clock } = options
  let failure: OrderExpiryError | undefined
  let isPlanted = false
  let isBackDue = false

  async function step(): Promise<number> {
    try {
      const wasMissing = await plantCanary(connection, queue.keys.canary)
      failure = undefined
      if (wasMissing && isPlanted) onLost()
      isPlanted ||= wasMissing !== undefined
      if (isBackDue) onBack()
      isBackDue = false
    } catch (error) {
      failure = connection.explain(error)
      isBackDue = true
      onFailure(failure)
    }
    onTick()
    return everyMs
  }

  const loop = createLoop({ name: 'redis-watch', step, clock })
  const look = () => {
    if (!failure) loop.hurry(AFTER_CHANGE_MS)
  }
  // An outage can be shorter than the time between two looks.
  const noticeOutage = () => {
    isBackDue = true
    look()
  }
  const noticeReturn = () => {
    if (failure) loop.hurry(AFTER_CHANGE_MS)
  }
  return {
    ...loop,
    get failure() {
      return failure
    },
    look,
    start(signal) {
      connection.redis.on('close', noticeOutage).on('ready', noticeReturn)
      return loop.start(signal)
    },
    stop() {
      connection.redis.off('close', noticeOutage).off('ready', noticeReturn)
      return loop.stop()
    },
  }
}

/** Whether the key was missing; undefined if Redis never lets us write it. Rejects if it takes no writes or does not answer. */
async function plantCanary(connection: Connection, key: string): Promise<boolean | undefined> {
  const { redis } = connection
  await connection.selectDatabase()
  try {
    return (await redis.set(key, '1', 'NX')) === 'OK'
  } catch (error) {
    if (isRedisRejection(error)) return undefined
    throw error
  }
}
