import { OrderExpiry } from '../../src/index.ts'
import { EventBus } from '../../src/observe/events.ts'
import type { Check, Outcome } from '../../src/order/order.ts'
import { createSettle } from '../../src/order/settle.ts'
import { createWorkerService } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { RedisOrders } from '../../src/stores/redis/orders.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { MemoryStore } from '../helpers/memory-store.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { orderExpiryContract } from './order-expiry.ts'

/** A table of the shop's own that keeps no deadlines: those of the checks count. */
class TableWithoutDeadlines extends MemoryStore {
  override cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> {
    for (const { orderId, deadline } of checks) Object.assign(this.orders.get(orderId) ?? {}, { deadline })
    return super.cancelUnpaid(checks)
  }
}

/** The client that shops use in production, with a worker of the daemon. */
orderExpiryContract(async ({ orders, paymentTimeout }) => {
  const raw = new RawQueue()
  const shop = new OrderExpiry({
    redis: redisUrl(),
    queueName: raw.name,
    ...(orders && { orders }),
    ...(paymentTimeout && { paymentTimeout }),
  })
  closing.push(
    () => raw.close(),
    () => shop.close(),
  )
  const table = new TableWithoutDeadlines()
  const unfinished = ['delayed', 'waiting', 'active'] as const
  const queue = namedQueue({ name: raw.name })
  const store = orders ? new RedisOrders({ redis: raw.redis, queue }) : table
  return {
    shop,
    now: () => Date.now(),
    passTime: async () => {
      const startedAt = Date.now()
      await eventually('time has passed', () => Date.now() > startedAt)
    },
    checks: () => raw.queue.getJobCountByTypes(...unfinished),
    settle: async () => {
      const stop = await startWorker({ queue, store })
      await eventually('all that is due is done', async () => {
        return (await raw.queue.getJobCountByTypes('waiting', 'active')) === 0
      })
      await stop()
    },
    place: (orderId, status) => table.place(orderId, 0, status),
    statusOf: (orderId) => table.orders.get(orderId)?.status,
  }
})

async function startWorker({
  queue,
  store,
}: {
  queue: ReturnType<typeof namedQueue>
  store: Parameters<typeof createSettle>[0]['store']
}): Promise<() => Promise<unknown>> {
  const worker = createWorkerService({
    redis: redisUrl(),
    queue,
    concurrency: 50,
    batchSize: 25,
    maxBatches: 2,
    maxAttempts: 3,
    paymentTimeoutMs: 300_000,
    settle: createSettle({ store, clock: systemClock }),
    decidedBy: 'test:1',
    heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
    isRedisAway: () => false,
    ring: async () => {},
    events: new EventBus(),
    clock: systemClock,
  })
  closing.push(() => worker.stop())
  await worker.start(new AbortController().signal)
  return () => worker.stop()
}
