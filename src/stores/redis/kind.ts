import { type Finding, ok } from '../../doctor/finding.ts'
import { overdueFinding } from '../../doctor/overdue-finding.ts'
import { openRedis } from '../../redis/connection.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { count } from '../../runtime/human-numbers.ts'
import type { StoreKind, StoreOptions } from '../store-kind.ts'
import { RedisOrders } from './orders.ts'
import { createRedisStore } from './store.ts'

const COMMAND_TIMEOUT_MS = 5_000

/** Orders recorded in the Redis of the queue, for shops that have no table of their own. */
export const redisKind: StoreKind<unknown> = {
  async open(options) {
    const store = createRedisStore(connect(options))
    try {
      await store.ping()
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  },

  migrate: async () => [],

  async diagnose(options) {
    const connected = connect(options)
    try {
      return await diagnose(new RedisOrders(connected))
    } finally {
      connected.redis.disconnect()
    }
  },
}

function connect({ redisUrl, queue, onError }: StoreOptions<unknown>) {
  return { queue, redis: openRedis({ profile: commandProfile(redisUrl, COMMAND_TIMEOUT_MS), onError }) }
}

async function diagnose(orders: RedisOrders): Promise<Finding[]> {
  const [unpaid, now] = await Promise.all([orders.countUnpaid(), orders.now()])
  const [oldest] = await orders.unpaidDueBefore(now, undefined, 1)
  return [
    ok('store-reachable', 'the orders are in Redis'),
    ok('store-unpaid', `${count(unpaid, 'unpaid order')} recorded`),
    overdueFinding(oldest && now - oldest.deadline),
  ]
}
