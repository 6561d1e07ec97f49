import type { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { createLoop } from '../runtime/loop.ts'
import type { Service } from '../runtime/service.ts'
import type { Connection } from './connection.ts'
import type { NamedQueue } from './keys.ts'
import { isRedisRejection } from './reply.ts'

const LOOK_EVERY_MS = 3_000

export interface RedisWatch extends Service {
  /** Why Redis did not answer, or took no writes, when it was last asked; undefined if it did. */
  readonly failure: OrderExpiryError | undefined
}

/**
 * Asks Redis every few seconds whether it answers, and whether it still has what it had: if a key of ours has vanished,
 * Redis was emptied, and the jobs are gone too.
 *
 * @param options.onBack it answers and takes writes again after an outage or a reconnection; some writes may be lost
 * @param options.onFailure it does not answer, or takes no writes; after each such look
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
  const { redis } = connection
  let failure: OrderExpiryError | undefined
  let isPlanted = false
  let isBackDue = false
  let wasConnected = false

  async function step(): Promise<number> {
    try {
      const canary = await look(connection, queue.keys.canary)
      if (canary === 'missing' && isPlanted) onLost()
      isPlanted ||= canary !== 'refused'
      failure = undefined
      if (isBackDue) onBack()
      isBackDue = false
    } catch (error) {
      failure = connection.explain(error)
      isBackDue = true
      onFailure(failure)
    }
    onTick()
    return LOOK_EVERY_MS
  }

  /** An outage can be shorter than the time between two looks. */
  function noticeReconnect(): void {
    if (wasConnected) isBackDue = true
    wasConnected = true
  }

  const loop = createLoop({ name: 'redis-watch', step, atStop: 'await-step', clock })
  return {
    name: loop.name,
    get failure() {
      return failure
    },
    start(signal) {
      wasConnected ||= redis.status === 'ready'
      redis.on('ready', noticeReconnect)
      return loop.start(signal)
    },
    stop() {
      redis.off('ready', noticeReconnect)
      return loop.stop()
    },
  }
}

/** Redis answers and takes writes: whether the canary was missing, and is there again. Else rejects. */
async function look(connection: Connection, key: string): Promise<'missing' | 'there' | 'refused'> {
  await connection.selectDatabase()
  await connection.redis.ping()
  try {
    return (await connection.redis.set(key, '1', 'NX')) === 'OK' ? 'missing' : 'there'
  } catch (error) {
    if (!isRedisRejection(error)) throw error
    return 'refused' // if it only refuses this key, it may take all others
  }
}
