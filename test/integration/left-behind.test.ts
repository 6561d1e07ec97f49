import { describe, expect, test } from '@jest/globals'
import type { Job } from 'bullmq'
import { OrderExpiryError } from '../../src/errors.ts'
import { OrderExpiry } from '../../src/index.ts'
import { EventBus } from '../../src/observe/events.ts'
import { createSettle, type Settle } from '../../src/order/settle.ts'
import { LEFT_BEHIND_PRIORITY } from '../../src/queue/left-behind.ts'
import { replay } from '../../src/queue/replay/replay.ts'
import { QueueView } from '../../src/queue/view/queue-view.ts'
import { createWorkerService, type WorkerOptions } from '../../src/queue/worker/worker.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const HOUR = 3_600_000

async function openShop() {
  const table = await OrdersTable.create()
  await table.migrate()
  const store = await PostgresStore.open(table.storeOptions())
  const raw = new RawQueue()
  closing.push(async () => {
    await raw.close()
    await store.close()
    await table.drop()
  })
  const settle = createSettle({ store, ping: () => store.ping(), clock: systemClock })
  return { table, raw, settle }
}

function createWorker(raw: RawQueue, settle: Settle, overrides: Partial<WorkerOptions> = {}) {
  const events = new EventBus()
  const worker = createWorkerService({
    redis: redisUrl(),
    queue: namedQueue({ name: raw.name }),
    concurrency: 20,
    batchSize: 10,
    maxBatches: 2,
    maxAttempts: 3,
    paymentTimeoutMs: 300_000,
    settle,
    decidedBy: 'test:1',
    heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
    isRedisAway: () => false,
    ring: async () => {},
    events,
    clock: systemClock,
    ...overrides,
  })
  closing.push(() => worker.stop())
  return { events, start: () => worker.start(new AbortController().signal) }
}

/** Resolves with the event's next value. */
const next = (events: EventBus, name: 'check-postponed' | 'check-retried') =>
  new Promise((resolve) => events.on(name, resolve))

const jobOf = async (raw: RawQueue, id: string) => (await raw.queue.getJob(id)) as Job

const inState = (raw: RawQueue, id: string, state: string) =>
  eventually(`${id} is ${state}`, async () =>
    (await raw.queue.getJobState(id)) === state ? jobOf(raw, id) : undefined,
  )

/** Holds the rows of these orders as a payment that is slow to commit does. */
async function lock(table: OrdersTable, where: string): Promise<() => Promise<void>> {
  const payment = await table.pool.connect()
  await payment.query(`BEGIN; SELECT FROM orders WHERE ${where} FOR UPDATE`)
  return async () => {
    await payment.query('COMMIT')
    payment.release()
  }
}

describe('a check whose order is locked', () => {
  test('comes after all others from then on, and is finished like them once the lock is gone', async () => {
    const { table, raw, settle } = await openShop()
    const worker = createWorker(raw, settle)
    await table.insert([{ id: '1', deadline: Date.now() - 10 }])
    const unlock = await lock(table, 'id = 1')
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'j1' })
    const postponed = next(worker.events, 'check-postponed')
    await worker.start()
    expect(await postponed).toMatchObject({ why: 'locked' })
    const job = await inState(raw, 'j1', 'delayed')
    expect([job.priority, job.attemptsMade]).toEqual([LEFT_BEHIND_PRIORITY, 0])
    await unlock()
    expect((await inState(raw, 'j1', 'completed')).returnvalue.outcome).toBe('cancelled')
  })

  test('keeps no good order waiting, even where thousands of them hold up every batch they are in', async () => {
    const { raw } = await openShop()
    const batches: string[][] = []
    const stuck = new OrderExpiryError('STORE_LOCKED', 'the stock is locked')
    /** A lock on something else than the order: it holds up the whole batch for as long as a batch is halved. */
    const slow: Settle = async (checks) => {
      batches.push(checks.map(({ orderId }) => orderId))
      const isStuck = checks.some(({ orderId }) => orderId.startsWith('stuck'))
      if (isStuck) await systemClock.sleep(1_500)
      return checks.map(({ orderId }) =>
        orderId.startsWith('stuck')
          ? { kind: 'failed', error: stuck }
          : { kind: 'kept', status: 'paid', evidence: { decidedAt: Date.now() } },
      )
    }
    await raw.queue.addBulk(
      Array.from({ length: 2_000 }, (_, n) => ({
        name: 'check-payment',
        data: { orderId: `stuck-${n}` },
        opts: { jobId: `stuck-${n}`, priority: LEFT_BEHIND_PRIORITY },
      })),
    )
    const { events, start } = createWorker(raw, slow)
    const postponed = next(events, 'check-postponed')
    await start()
    await postponed
    const lateness: number[] = []
    for (let n = 0; n < 10; n++) {
      const addedAt = performance.now()
      await raw.queue.add('check-payment', { orderId: `good-${n}` }, { jobId: `good-${n}` })
      await inState(raw, `good-${n}`, 'completed')
      lateness.push(performance.now() - addedAt)
    }
    expect(Math.max(...lateness)).toBeLessThan(1_000)
    for (const batch of batches) expect(new Set(batch.map((orderId) => orderId.split('-')[0])).size).toBe(1)
  })

  test('that waits behind others counts as due, and can be found, moved, withdrawn', async () => {
    const { raw } = await openShop()
    const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
    const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 2_000) })
    closing.push(async () => {
      await shop.close()
      connection.close()
    })
    const view = new QueueView({ connection, queue: namedQueue({ name: raw.name }) })
    for (const orderId of ['1', '2']) {
      await shop.schedule({ orderId, deadline: '1h' })
      const job = await jobOf(raw, `order-${orderId}`)
      await job.changePriority({ priority: LEFT_BEHIND_PRIORITY })
      await job.promote()
      expect(await job.getState()).toBe('prioritized')
      expect(await shop.find(orderId)).toMatchObject({ check: { state: 'due' } })
    }
    expect(await view.forecast()).toMatchObject({ due: 2 })
    expect(await shop.withdraw('1')).toMatchObject({ result: 'withdrawn' })
    expect(await shop.reschedule({ orderId: '2', deadline: '2h' })).toMatchObject({ result: 'rescheduled' })
    expect((await jobOf(raw, 'order-2')).priority).toBe(0)
  })

  test.each([
    ['none', undefined],
    ['its own', 7],
  ])('with a new deadline comes with the others again: the producer gave it %s priority', async (_, priority) => {
    const { raw } = await openShop()
    const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
    closing.push(() => shop.close())
    const data = { orderId: '1', deadline: Date.now() + HOUR }
    const opts = { jobId: 'order-1', delay: HOUR, ...(priority && { priority }) }
    const job = await raw.queue.add('check-payment', data, opts)
    await job.changePriority({ priority: LEFT_BEHIND_PRIORITY })
    await shop.reschedule({ orderId: '1', deadline: Date.now() + 2 * HOUR })
    const moved = await inState(raw, 'order-1', 'delayed')
    expect(moved.priority).toBe(priority ?? 0)
  })

  test('is like any other again once something else postpones it', async () => {
    const { raw } = await openShop()
    const away: Settle = async (checks) =>
      checks.map(() => ({ kind: 'failed', error: new OrderExpiryError('STORE_UNAVAILABLE', 'away') }))
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'j1', priority: 7 })
    await (await jobOf(raw, 'j1')).changePriority({ priority: LEFT_BEHIND_PRIORITY })
    const { events, start } = createWorker(raw, away)
    const postponed = next(events, 'check-postponed')
    await start()
    await postponed
    expect((await inState(raw, 'j1', 'delayed')).priority).toBe(7)
  })
})

describe('a check whose order is rejected', () => {
  async function openRejecting() {
    const shop = await openShop()
    const { table } = shop
    await table.pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no stock row'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON orders FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION refuse()`)
    await table.insert([{ id: '1', deadline: Date.now() - 10 }])
    return shop
  }

  test('comes after all others, with the reason on it; after its attempts it is given up, and can be replayed', async () => {
    const { table, raw, settle } = await openRejecting()
    const { events, start } = createWorker(raw, settle, { maxAttempts: 2 })
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'j1' })
    const retried = next(events, 'check-retried')
    await start()
    await retried
    const job = await inState(raw, 'j1', 'delayed')
    expect([job.priority, job.attemptsMade]).toEqual([LEFT_BEHIND_PRIORITY, 1])
    expect(job.failedReason).toMatch(/^STORE_REJECTED: .*no stock row/)
    expect(await inState(raw, 'j1', 'failed')).toMatchObject({ attemptsMade: 2 })

    await table.pool.query('DROP TRIGGER refuse ON orders')
    await replay({ redis: redisUrl(), queue: namedQueue({ name: raw.name }), selection: 'all', dryRun: false })
    expect((await inState(raw, 'j1', 'completed')).returnvalue.outcome).toBe('cancelled')
  })
})
