import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { createRedisStore } from '../../src/stores/redis/kind.ts'
import { RedisOrders } from '../../src/stores/redis/orders.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { describeOutbox } from './outbox.ts'

describeOutbox('redis', async () => {
  const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 10_000) })
  const queue = namedQueue({ name: uniqueName('contract') })
  const orders = new RedisOrders({ redis: connection.redis, queue })
  const store = createRedisStore({ connection, queue, areDelivered: true })
  return {
    outbox: store.deliveries as NonNullable<typeof store.deliveries>,
    eventsOf: async (orderId, sinks) => (await store.eventsOf?.(orderId, sinks)) ?? [],
    keeps: false,
    remembersAdded: true,
    async cancel(orderIds, by) {
      const deadline = Date.now() - 1_000
      await orders.record(orderIds.map((orderId) => ({ orderId, deadline, placedAt: deadline - 1_000 })))
      for (const orderId of orderIds) await store.cancelUnpaid([{ orderId, deadline }], by && { by })
    },
    notes: () => connection.redis.hlen(queue.keys.attempts),
    count: () => connection.redis.xlen(queue.keys.undelivered),
    async close() {
      await orders.clear()
      connection.close()
    },
  }
})
