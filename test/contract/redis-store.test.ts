import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { createRedisStore } from '../../src/stores/redis/kind.ts'
import { RedisOrders } from '../../src/stores/redis/orders.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { describeOrderStore } from './order-store.ts'

for (const [what, id] of Object.entries({
  'plain ids': (n: number) => `order-${n}`,
  'all-digit ids': (n: number) => `${n}`,
  'awkward ids': (n: number) => `a:b:{c}%*?[]\\ o'; drop table 🎫 ../${n}`,
})) {
  describeOrderStore(`redis, ${what}`, async () => {
    const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 10_000) })
    const queue = namedQueue({ name: uniqueName('contract') })
    const orders = new RedisOrders({ redis: connection.redis, queue })
    return {
      store: createRedisStore({ connection, queue }),
      id,
      keepsPayments: true,
      async place(placed) {
        await orders.record(placed.map((order) => ({ ...order, placedAt: Date.now() })))
      },
      async pay(orderId) {
        await orders.pay(orderId)
      },
      announced: async () =>
        (await orders.readEvents(undefined, 10_000))
          .filter(({ type }) => type === 'order.cancelled')
          .map(({ orderId }) => orderId),
      async close() {
        await orders.clear()
        connection.close()
      },
    }
  })
}
