import type { Redis } from 'ioredis'
import { OrderExpiryError } from '../../errors.ts'
import type { Check, Order, Outcome } from '../../order/order.ts'
import type { DueOrder, KeptEvent, OrderStore } from '../../order/store.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { isRedisRefusal, isRedisRejection, redisErrorCode } from '../../redis/reply.ts'
import { RedisOrders } from './orders.ts'

/** The order store on top of {@link RedisOrders}. */
export class RedisStore implements OrderStore {
  readonly #redis: Redis
  readonly #orders: RedisOrders

  constructor(options: { redis: Redis; queue: NamedQueue }) {
    this.#redis = options.redis
    this.#orders = new RedisOrders(options)
  }

  cancelUnpaid(checks: readonly Check[], options?: { dryRun?: boolean }): Promise<Outcome[]> {
    return inOurWords(this.#orders.cancelUnpaid(checks, options))
  }

  find(orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    return inOurWords(this.#orders.findMany(orderIds))
  }

  unpaidDueBefore(instant: number, after: DueOrder | undefined, limit: number): Promise<DueOrder[]> {
    return inOurWords(this.#orders.unpaidDueBefore(instant, after, limit))
  }

  eventsOf(orderId: string): Promise<KeptEvent[] | undefined> {
    return inOurWords(this.#orders.eventsOf(orderId))
  }

  newestPayment(): Promise<number | undefined> {
    return inOurWords(this.#orders.newestPayment())
  }

  ping(): Promise<number> {
    return inOurWords(this.#orders.probe())
  }

  async close(): Promise<void> {
    this.#redis.disconnect()
  }
}

async function inOurWords<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (cause) {
    const why = cause instanceof Error ? cause.message || cause.name : String(cause)
    const code = redisErrorCode(cause)
    if (code === 'READONLY') throw new OrderExpiryError('STORE_READ_ONLY', `Redis: ${why}`, { cause })
    if (code === undefined)
      throw new OrderExpiryError('STORE_UNAVAILABLE', `Redis cannot be used now: ${why}`, { cause })
    if (!isRedisRejection(cause)) throw new OrderExpiryError('STORE_BUSY', `Redis is not ready: ${why}`, { cause })
    if (isRedisRefusal(cause)) throw new OrderExpiryError('STORE_REFUSED', `Redis refuses us: ${why}`, { cause })
    throw new OrderExpiryError('STORE_REJECTED', `Redis rejected the batch: ${why}`, { cause })
  }
}
