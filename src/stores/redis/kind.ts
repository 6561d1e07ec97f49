import type { Redis } from 'ioredis'
import { type Finding, ok } from '../../doctor/finding.ts'
import { overdueFinding } from '../../doctor/overdue-finding.ts'
import { type ErrorCode, OrderExpiryError } from '../../errors.ts'
import type { OrderStore } from '../../order/store.ts'
import { openRedis } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { describeRefusal } from '../../redis/refusal.ts'
import { isRedisRefusal, isRedisRejection, redisErrorCode } from '../../redis/reply.ts'
import { count } from '../../runtime/human-numbers.ts'
import type { StoreKind, StoreOptions } from '../store-kind.ts'
import { RedisOrders } from './orders.ts'

const COMMAND_TIMEOUT_MS = 5_000

/** Orders recorded in the Redis of the queue, for shops that have no table of their own. */
export const redisKind: StoreKind<unknown> = {
  async open(options) {
    const store = createRedisStore({ ...connect(options), access: options.access })
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

function connect({ redisAddress, queue, onError }: StoreOptions<unknown>) {
  return { queue, redis: openRedis({ profile: commandProfile(redisAddress, COMMAND_TIMEOUT_MS), onError }) }
}

/** The order store on top of {@link RedisOrders}; it closes the connection. */
export function createRedisStore(options: {
  redis: Redis
  queue: NamedQueue
  access?: StoreOptions<unknown>['access']
}): OrderStore {
  const orders = new RedisOrders(options)
  return {
    cancelUnpaid: (checks, how) => inOurWords(orders.cancelUnpaid(checks, how)),
    find: (orderIds) => inOurWords(orders.findMany(orderIds)),
    // It sees each order from its placing on, so it has no backlog.
    unpaidDueBefore: async (instant, after, limit, { backlog = false } = {}) =>
      backlog ? [] : inOurWords(orders.unpaidDueBefore(instant, after, limit)),
    eventsOf: (orderId) => inOurWords(orders.eventsOf(orderId)),
    newestPayment: () => inOurWords(orders.newestPayment()),
    // A probe writes, which is what a daemon needs to know; whoever only looks need not be allowed to.
    ping: () => inOurWords(options.access === 'read' ? orders.now() : orders.probe()),
    close: async () => options.redis.disconnect(),
  }
}

function inOurWords<T>(work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    const [code, what] = describeError(cause)
    if (code === 'STORE_REFUSED')
      throw new OrderExpiryError(code, `${what} ${describeRefusal(cause as Error)}`, { cause })
    const why = cause instanceof Error ? cause.message || cause.name : String(cause)
    throw new OrderExpiryError(code, `${what}: ${why}`, { cause })
  })
}

function describeError(error: unknown): [ErrorCode, string] {
  const code = redisErrorCode(error)
  if (code === undefined) return ['STORE_UNAVAILABLE', 'Redis cannot be used now']
  if (code === 'READONLY') return ['STORE_READ_ONLY', 'Redis']
  if (!isRedisRejection(error)) return ['STORE_BUSY', 'Redis is not ready']
  if (isRedisRefusal(error)) return ['STORE_REFUSED', 'Redis refuses']
  return ['STORE_REJECTED', 'Redis rejected the batch']
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
