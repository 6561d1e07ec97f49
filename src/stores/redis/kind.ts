import { ok } from '../../doctor/finding.ts'
import { openRedis } from '../../redis/connection.ts'
import { commandProfile } from '../../redis/profiles.ts'
import type { StoreKind, StoreOptions } from '../store-kind.ts'
import { diagnoseRedisOrders } from './diagnosis.ts'
import { RedisOrders } from './orders.ts'
import { createRedisStore } from './store.ts'

const COMMAND_TIMEOUT_MS = 5_000

/** Orders recorded in the Redis of the queue, for shops that have no table of their own. */
export const redisKind: StoreKind<unknown> = {
  async open({ queue, ...options }) {
    const store = createRedisStore({ redis: connect(options), queue })
    try {
      await store.ping()
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  },

  migrate: async () => [],

  async diagnose({ queue, ...options }) {
    const redis = connect(options)
    try {
      const findings = await diagnoseRedisOrders(new RedisOrders({ redis, queue }))
      return [ok('store-reachable', 'the orders are in Redis'), ...findings]
    } finally {
      redis.disconnect()
    }
  },
}

function connect({ redisUrl, onError }: Pick<StoreOptions<unknown>, 'redisUrl' | 'onError'>) {
  return openRedis({ profile: commandProfile(redisUrl, COMMAND_TIMEOUT_MS), onError })
}
