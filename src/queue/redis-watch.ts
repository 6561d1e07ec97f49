import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Service } from '../runtime/service.ts'
import type { Connection } from './connection.ts'

const EVERY_MS = 3_000

export interface RedisWatch extends Service {
  /** Why Redis did not answer when it was last asked; undefined if it did. */
  readonly failure: OrderExpiryError | undefined
}

/**
 * Asks Redis every few seconds whether it is there, and whether it still knows what it knew: a key that was there and is not
 * any more says that it has been emptied, and the jobs with it.
 *
 * @param options.onBack it answers again; some writes may be lost
 * @param options.onLost it has been emptied
 * @param options.onTick after each look
 */
export function createRedisWatch(options: {
  connection: Connection
  queueName: string
  queuePrefix: string
  onBack: () => void
  onLost: () => void
  onTick: () => void
  clock: Clock
}): RedisWatch {
  const { connection, queueName, queuePrefix, onBack, onLost, onTick, clock } = options
  const key = `{${queuePrefix}:${queueName}}:canary`
  const stopping = new AbortController()
  let failure: OrderExpiryError | undefined
  let isPlanted = false
  let watching: Promise<void> | undefined

  async function look(): Promise<void> {
    try {
      await connection.selectDatabase()
      await connection.redis.ping()
      if (failure) onBack()
      failure = undefined
    } catch (error) {
      failure = asOrderExpiryError(connection.explain(error))
      return
    }
    try {
      const wasMissing = (await connection.redis.set(key, '1', 'NX')) === 'OK'
      if (wasMissing && isPlanted) onLost()
      isPlanted = true
    } catch {
      // It answers, but takes no writes now.
    }
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
      watching = watch()
    },
    async stop() {
      stopping.abort()
      await watching
    },
  }
}
