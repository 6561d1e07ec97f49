import { type Finding, ok } from '../../doctor/finding.ts'
import { overdueFinding } from '../../doctor/overdue-finding.ts'
import { type ErrorCode, OrderExpiryError } from '../../errors.ts'
import type { OrderStore } from '../../order/store.ts'
import { Connection } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { isRedisRefusal, isRedisRejection, redisErrorCode } from '../../redis/reply.ts'
import { count } from '../../runtime/human-numbers.ts'
import type { StoreKind, StoreOptions } from '../store-kind.ts'
import { RedisDeliveries } from './deliveries.ts'
import { RedisOrders } from './orders.ts'

const COMMAND_TIMEOUT_MS = 5_000
const PAID_LATE_TAKEN_AT_ONCE = 1_000

/** Orders recorded in the Redis of the queue, for shops that have no table of their own. */
export const redisKind: StoreKind<unknown> = {
  async open(options) {
    const store = createRedisStore({ ...connect(options), access: options.access, areDelivered: options.areDelivered })
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
    const { connection, queue } = connect(options)
    try {
      const orders = new RedisOrders({ redis: connection.redis, queue })
      return await connection.ask(() => diagnose(orders)).catch(throwAsStore)
    } finally {
      connection.close()
    }
  },
}

function connect({ redisAddress, queue, onError }: StoreOptions<unknown>) {
  const profile = commandProfile(redisAddress, COMMAND_TIMEOUT_MS)
  const connection = new Connection({ address: redisAddress, profile })
  connection.redis.on('error', onError)
  return { queue, connection }
}

/** The order store on top of {@link RedisOrders}; it closes the connection. */
export function createRedisStore(options: {
  connection: Connection
  queue: NamedQueue
  access?: StoreOptions<unknown>['access']
  areDelivered?: boolean | undefined
}): OrderStore {
  const { connection, queue, access, areDelivered = false } = options
  const { redis } = connection
  const orders = new RedisOrders({ redis, queue, areDelivered })
  const deliveries = new RedisDeliveries({ redis, keys: queue.keys })
  const ask = <T>(work: () => Promise<T>) => connection.ask(work).catch(throwAsStore)
  return {
    cancelUnpaid: (checks, how) => ask(() => orders.cancelUnpaid(checks, how)),
    find: (orderIds) => ask(() => orders.findMany(orderIds)),
    // It sees each order from its placing on, so it has no backlog.
    unpaidDueBefore: async (instant, after, limit, { backlog = false } = {}) =>
      backlog ? [] : ask(() => orders.unpaidDueBefore(instant, after, limit)),
    eventsOf: (orderId, sinks = []) =>
      ask(async () => {
        const events = await orders.eventsOf(orderId)
        return events && areDelivered && sinks.length > 0 ? deliveries.describe(events, sinks) : events
      }),
    ...(areDelivered && {
      outbox: () => ask(() => deliveries.backlog()),
      deliveries: {
        undelivered: (asked) => ask(() => deliveries.undelivered(asked)),
        delivered: (events, to) => ask(() => deliveries.delivered(events, to)),
        failed: (event, why) => ask(() => deliveries.failed(event, why)),
        list: (asked) => ask(() => deliveries.list(asked)),
        add: (events) => ask(() => deliveries.add(events)),
        replay: (events, to) => ask(() => deliveries.replay(events, to)),
        dropDelivered: () => deliveries.dropDelivered(),
      },
    }),
    // The event was written with the payment.
    async tellPaidLate() {
      const ids = await ask(() => orders.takePaidLate(PAID_LATE_TAKEN_AT_ONCE))
      return { orders: ids.map((orderId) => ({ orderId })), isMore: ids.length === PAID_LATE_TAKEN_AT_ONCE }
    },
    newestPayment: () => ask(() => orders.newestPayment()),
    // A probe writes, which is what a daemon needs to know; whoever only looks need not be allowed to.
    ping: () => ask(() => (access === 'read' ? orders.now() : orders.probe())),
    close: async () => connection.close(),
  }
}

/** An error of the connection as one of a store. */
function throwAsStore(error: OrderExpiryError): never {
  if (!error.code.startsWith('REDIS_')) throw error
  throw new OrderExpiryError(storeCodeOf(error), error.message, { cause: error.cause })
}

function storeCodeOf({ code, cause }: OrderExpiryError): ErrorCode {
  const reply = redisErrorCode(cause)
  if (reply === 'READONLY') return 'STORE_READ_ONLY'
  if (reply === undefined || isRedisRefusal(cause))
    return code === 'REDIS_REFUSED' ? 'STORE_REFUSED' : 'STORE_UNAVAILABLE'
  return isRedisRejection(cause) ? 'STORE_REJECTED' : 'STORE_BUSY'
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
