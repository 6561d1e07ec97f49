import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Service } from '../runtime/service.ts'
import type { Connection } from './connection.ts'
import type { NamedQueue } from './keys.ts'
import { isRedisRejection } from './reply.ts'

const EVERY_MS = 3_000

export interface RedisWatch extends Service {
  /** Why Redis did not answer, or took no writes, when it was last asked; undefined if it did. */
  readonly failure: OrderExpiryError | undefined
}

/**
 * Asks Redis every few seconds whether it is there, and whether it still knows what it knew: a key that was there and is not
 * any more says that it has been emptied, and the jobs with it.
 *
 * @param options.onBack it answers and takes writes again, after it has not or the connection was made anew; some writes
 *   may be lost
 * @param options.onFailure it does not answer, or takes no writes; after each look
 * @param options.onLost it has been emptied
 * @param options.onTick after each look
 */
export function createRedisWatch(options: {
  connection: Connection
  queue: NamedQueue
  onBack: () => void
  onFailure: (failure: OrderExpiryError) => void
  onLost: () => void
  onTick: () => void
  clock: Clock
}): RedisWatch {
  const { connection, queue, onBack, onFailure, onLost, onTick, clock } = options
  const key = queue.keys.canary
  const stopping = new AbortController()
  let failure: OrderExpiryError | undefined
  let isPlanted = false
  let isBackDue = false
  let wasConnected = false
  let watching: Promise<void> | undefined

  async function look(): Promise<void> {
    try {
      await connection.selectDatabase()
      await connection.redis.ping()
    } catch (error) {
      return fail(error)
    }
    try {
      const wasMissing = (await connection.redis.set(key, '1', 'NX')) === 'OK'
      if (wasMissing && isPlanted) onLost()
      isPlanted = true
    } catch (error) {
      // It answers, but takes no writes now. One that never lets us write this key may take all others.
      if (!isRedisRejection(error)) return fail(error)
    }
    failure = undefined
    if (isBackDue) onBack()
    isBackDue = false
  }

  function fail(error: unknown): void {
    failure = asOrderExpiryError(connection.explain(error))
    isBackDue = true
    onFailure(failure)
  }

  /** An outage can be shorter than the time between two looks. */
  function noticeReconnect(): void {
    if (wasConnected) isBackDue = true
    wasConnected = true
  }

  async function watch(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look()
      onTick()
      await clock.sleep(EVERY_MS, stopping.signal).catch(() => {})
    }
  }

  return {
    name: 'redis-watch',
    get failure() {
      return failure
    },
    async start() {
      wasConnected ||= connection.redis.status === 'ready'
      connection.redis.on('ready', noticeReconnect)
      watching = watch()
    },
    async stop() {
      stopping.abort()
      connection.redis.off('ready', noticeReconnect)
      await watching
    },
  }
}
