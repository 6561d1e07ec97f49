import type { Redis } from 'ioredis'
import { type ErrorCode, OrderExpiryError } from '../../errors.ts'
import type { OrderStore } from '../../order/store.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { isRedisRefusal, isRedisRejection, redisErrorCode } from '../../redis/reply.ts'
import { RedisOrders } from './orders.ts'

/** The order store on top of {@link RedisOrders}; it closes the connection. */
export function createRedisStore(options: { redis: Redis; queue: NamedQueue }): OrderStore {
  const orders = new RedisOrders(options)
  return {
    cancelUnpaid: (checks, how) => inOurWords(orders.cancelUnpaid(checks, how)),
    find: (orderIds) => inOurWords(orders.findMany(orderIds)),
    unpaidDueBefore: (instant, after, limit) => inOurWords(orders.unpaidDueBefore(instant, after, limit)),
    eventsOf: (orderId) => inOurWords(orders.eventsOf(orderId)),
    newestPayment: () => inOurWords(orders.newestPayment()),
    ping: () => inOurWords(orders.probe()),
    close: async () => options.redis.disconnect(),
  }
}

function inOurWords<T>(work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    const [code, what] = describeError(cause)
    const why = cause instanceof Error ? cause.message || cause.name : String(cause)
    throw new OrderExpiryError(code, `${what}: ${why}`, { cause })
  })
}

function describeError(error: unknown): [ErrorCode, string] {
  const code = redisErrorCode(error)
  if (code === undefined) return ['STORE_UNAVAILABLE', 'Redis cannot be used now']
  if (code === 'READONLY') return ['STORE_READ_ONLY', 'Redis']
  if (!isRedisRejection(error)) return ['STORE_BUSY', 'Redis is not ready']
  if (isRedisRefusal(error)) return ['STORE_REFUSED', 'Redis refuses us']
  return ['STORE_REJECTED', 'Redis rejected the batch']
}
