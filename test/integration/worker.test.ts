import { describe, expect, test } from '@jest/globals'
import type { Job } from 'bullmq'
import { OrderExpiry } from '../../src/index.ts'
import { EventBus } from '../../src/observe/events.ts'
import { createSettle } from '../../src/order/settle.ts'
import type { OrderStore } from '../../src/order/store.ts'
import { createWorkerService, type WorkerOptions } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { databaseUrl, redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable, type TableOptions } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const HOUR = 3_600_000

async function openTable(options: TableOptions = {}): Promise<{ table: OrdersTable; store: PostgresStore }> {
  const table = await OrdersTable.create(options)
  await table.migrate()
  const store = await PostgresStore.open(table.storeOptions())
  closing.push(async () => {
    await store.close()
    await table.drop()
  })
  return { table, store }
}

function openQueue(): RawQueue {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  return raw
}

async function startWorker(
  raw: RawQueue,
  store: OrderStore,
  overrides: Partial<WorkerOptions> = {},
): Promise<EventBus> {
  const events = new EventBus()
  const worker = createWorkerService({
    redis: redisUrl(),
    queue: namedQueue({ name: raw.name }),
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
    events,
    clock: systemClock,
    ...overrides,
  })
  closing.push(() => worker.stop())
  await worker.start(new AbortController().signal)
  return events
}

const inState = (raw: RawQueue, id: string, state: string) =>
  eventually(`${id} is ${state}`, async () => {
    if ((await raw.queue.getJobState(id)) !== state) return undefined
    return (await raw.queue.getJob(id)) as Job | undefined
  })

describe('jobs of a bare BullMQ producer', () => {
  test('whatever their id, name it as they like, no options of ours: paid is kept, unpaid is cancelled', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    await startWorker(raw, store)
    const deadline = Date.now() + 300
    await table.insert([1, 2, 3, 4].map((id) => ({ id: `${id}`, status: id === 2 ? 'paid' : 'pending', deadline })))
    const jobs = await Promise.all([
      raw.queue.add('check-payment', { orderId: '1', deadline }, { delay: 300 }),
      raw.queue.add(
        'check-payment',
        { orderId: 2, deadline: new Date(deadline).toISOString() },
        { delay: 300, jobId: 'mine-2' },
      ),
      raw.queue.add('check-payment', { orderId: '3', extra: { unknown: true } }, { delay: 300, jobId: 'a:b:c' }),
      raw.queue.add('check-payment', { orderId: '4' }),
    ])
    const finished = await Promise.all(jobs.map((job) => inState(raw, job.id as string, 'completed')))
    expect(finished.map((job) => job.returnvalue.outcome)).toEqual(['cancelled', 'kept', 'cancelled', 'cancelled'])
    expect(await table.statusOf('2')).toBe('paid')
    expect((await table.outbox()).map(({ order_id }) => order_id).sort()).toEqual(['1', '3', '4'])
  })

  test('the outcome and its evidence are on the finished job', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    await startWorker(raw, store)
    const deadline = Date.now() - 5_000
    await table.insert([{ id: '1', deadline }])
    // The evidence stays, even if the producer would have thrown it away.
    await raw.queue.add(
      'check-payment',
      { orderId: '1', deadline: deadline - HOUR },
      { jobId: 'j1', removeOnComplete: true },
    )
    const { returnvalue } = await inState(raw, 'j1', 'completed')
    expect(returnvalue).toEqual({
      outcome: 'cancelled',
      status: 'pending',
      deadline: new Date(deadline).toISOString(),
      decidedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      decidedBy: 'test:1',
    })
    expect(Date.parse(returnvalue.decidedAt)).toBeGreaterThanOrEqual(deadline)
  })

  test('a delay that is too short, negative or a string does not cancel before the deadline', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    await startWorker(raw, store)
    const deadline = Date.now() + 1_500
    await table.insert(['1', '2', '3', '4'].map((id) => ({ id, deadline })))
    await raw.queue.add('check-payment', { orderId: '1', deadline: 1_000_000_000_000 }, { jobId: 'j1', delay: 1 })
    await raw.queue.add('check-payment', { orderId: '2' }, { jobId: 'j2', delay: '90000' as unknown as number })
    await raw.queue.add('check-payment', { orderId: '3' }, { jobId: 'j3', delay: -5 })
    const promoted = await raw.queue.add('check-payment', { orderId: '4', deadline }, { jobId: 'j4', delay: HOUR })
    await promoted.promote()
    for (const id of ['j1', 'j2', 'j3', 'j4']) await inState(raw, id, 'completed')
    const { rows } = await table.pool.query('SELECT min(at) AS first, count(*)::int AS n FROM audit')
    expect(rows[0].n).toBe(4)
    expect(rows[0].first.getTime()).toBeGreaterThanOrEqual(deadline)
  })

  test('a job that is promoted is moved back to its deadline', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    const events = await startWorker(raw, store)
    const postponed = new Promise((resolve) => events.on('check-postponed', resolve))
    const deadline = Date.now() + HOUR
    await table.insert([{ id: '1', deadline }])
    const job = await raw.queue.add('check-payment', { orderId: '1', deadline }, { jobId: 'j1', delay: HOUR })
    await job.promote()
    expect(await postponed).toMatchObject({ orderId: '1', why: 'not-due' })
    await inState(raw, 'j1', 'delayed')
    const score = Number(await raw.redis.zscore(raw.queue.toKey('delayed'), 'j1')) / 0x1000
    expect(Math.abs(score - deadline)).toBeLessThan(1_000)
    expect(await table.statusOf('1')).toBe('pending')
  })

  test('a job that overtakes the transaction inserting its order waits for the deadline', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    const events = await startWorker(raw, store)
    const postponed = new Promise((resolve) => events.on('check-postponed', resolve))
    const deadline = Date.now() + 1_000
    await raw.queue.add('check-payment', { orderId: '1', deadline }, { jobId: 'j1' })
    await postponed
    await table.insert([{ id: '1', deadline }])
    expect((await inState(raw, 'j1', 'completed')).returnvalue.outcome).toBe('cancelled')
  })

  test('an order that is not there ends as missing', async () => {
    const { store } = await openTable()
    const raw = openQueue()
    await startWorker(raw, store)
    await raw.queue.add('check-payment', { orderId: '404', deadline: Date.now() - 1 }, { jobId: 'j1' })
    expect((await inState(raw, 'j1', 'completed')).returnvalue).toMatchObject({ outcome: 'missing' })
  })
})

describe('bad jobs', () => {
  test('each fails at once with a clear reason; the others go on', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    await startWorker(raw, store)
    await table.insert([{ id: '1', deadline: Date.now() - 10 }])
    const bad: [string, string, unknown, RegExp][] = [
      ['not-an-object', 'check-payment', 'order 1', /^INVALID_JOB: .*data/],
      ['null', 'check-payment', null, /^INVALID_JOB: .*data/],
      ['a-list', 'check-payment', ['1'], /^INVALID_JOB/],
      ['no-order-id', 'check-payment', { deadline: Date.now() }, /^INVALID_JOB: .*orderId/],
      ['empty-id', 'check-payment', { orderId: '' }, /^INVALID_JOB: .*orderId: expected/],
      ['wrong-type', 'check-payment', { orderId: { id: 1 } }, /^INVALID_JOB: .*orderId/],
      ['bad-deadline', 'check-payment', { orderId: '1', deadline: 'tomorrow' }, /^INVALID_JOB: .*deadline/],
      [
        'in-seconds',
        'check-payment',
        { orderId: '1', deadline: Math.floor(Date.now() / 1000) },
        /^INVALID_JOB: .*seconds/,
      ],
      ['no-offset', 'check-payment', { orderId: '1', deadline: '2026-12-01T10:00:00' }, /^INVALID_JOB: .*offset/],
      ['other-name', 'send-mail', { orderId: '1' }, /^UNKNOWN_JOB: .*"send-mail"/],
    ]
    for (const [jobId, name, data] of bad) await raw.queue.add(name, data, { jobId, attempts: 5 })
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'good' })
    expect((await inState(raw, 'good', 'completed')).returnvalue.outcome).toBe('cancelled')
    for (const [jobId, , , reason] of bad) {
      const job = await inState(raw, jobId, 'failed')
      expect(job.failedReason).toMatch(reason)
      expect(job.attemptsStarted).toBe(1)
    }
  })

  test('a job whose content is lost cancels nothing', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    await table.insert([{ id: '1', deadline: Date.now() - 10 }])
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'lost' })
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'good' })
    await raw.redis.del(raw.queue.toKey('lost'))
    await startWorker(raw, store)
    expect((await inState(raw, 'good', 'completed')).returnvalue.outcome).toBe('cancelled')
  })
})

describe('retries', () => {
  test('belong to the worker: a job of one attempt is tried MAX_ATTEMPTS times, then given up, with the reason', async () => {
    const { table, store } = await openTable()
    const raw = openQueue()
    await table.insert([
      { id: '1', deadline: Date.now() - 10 },
      { id: '2', deadline: Date.now() - 10 },
    ])
    await table.pool.query(`ALTER TABLE orders ADD CHECK (id <> 1 OR status <> 'cancelled')`)
    const events = await startWorker(raw, store, { maxAttempts: 2 })
    const retried = new Promise((resolve) => events.on('check-retried', resolve))
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'bad', attempts: 1 })
    await raw.queue.add('check-payment', { orderId: '2' }, { jobId: 'good' })
    expect((await inState(raw, 'good', 'completed')).returnvalue.outcome).toBe('cancelled')
    expect(await retried).toMatchObject({ orderId: '1', error: { code: 'STORE_REJECTED' } })
    const job = await inState(raw, 'bad', 'failed')
    expect(job.failedReason).toMatch(/^STORE_REJECTED: .*SQLSTATE 23514/)
    expect(job.attemptsMade).toBe(2)
    expect(await table.statusOf('1')).toBe('pending')
  })

  test('a store that cannot be reached costs no attempt, and the order is settled when it is back', async () => {
    const { table } = await openTable()
    const raw = openQueue()
    const proxy = await TcpProxy.to(databaseUrl())
    const store = await PostgresStore.open(
      table.storeOptions({ settings: { DATABASE_URL: proxy.urlOf(databaseUrl()) } }),
    )
    closing.push(async () => {
      await store.close()
      await proxy.close()
    })
    await table.insert([{ id: '1', deadline: Date.now() - 10 }])
    const events = await startWorker(raw, store, { maxAttempts: 1 })
    const postponed: string[] = []
    const twice = new Promise<void>((resolve) => {
      events.on('check-postponed', ({ why }) => {
        postponed.push(why)
        if (postponed.length === 2) resolve()
      })
    })
    proxy.cut()
    await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'j1' })
    await twice
    proxy.heal()
    expect(new Set(postponed)).toEqual(new Set(['STORE_UNAVAILABLE']))
    const job = await inState(raw, 'j1', 'completed')
    expect(job.returnvalue.outcome).toBe('cancelled')
    expect(job.attemptsMade).toBe(1) // BullMQ counts the one that ended it
  })
})

test('a deadline that is moved earlier while its check is under way counts', async () => {
  const { table, store } = await openTable({ deadlineType: null })
  const raw = openQueue()
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
  closing.push(() => shop.close())
  await table.insert([{ id: '1' }])
  let begun: () => void = () => {}
  const underWay = new Promise<void>((resolve) => {
    begun = resolve
  })
  let go: () => void = () => {}
  const mayGo = new Promise<void>((resolve) => {
    go = resolve
  })
  const settle = createSettle({ store, clock: systemClock })
  await startWorker(raw, store, {
    async settle(checks) {
      begun()
      await mayGo
      return settle(checks)
    },
  })
  await shop.schedule({ orderId: '1', deadline: '1h' })
  await (await raw.queue.getJob('order-1'))?.promote()
  await underWay
  expect(await shop.reschedule({ orderId: '1', deadline: Date.now() + 500 })).toMatchObject({ result: 'checking' })
  go()
  expect((await inState(raw, 'order-1', 'completed')).returnvalue.outcome).toBe('cancelled')
})

test('a permission that is taken away costs no attempt, and the order is settled when it is given back', async () => {
  const { table } = await openTable()
  const raw = openQueue()
  const role = uniqueName('role')
  await table.pool.query(
    `CREATE ROLE ${role} LOGIN; GRANT ALL ON SCHEMA ${table.schema} TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA ${table.schema} TO ${role}`,
  )
  const url = new URL(databaseUrl())
  url.username = role
  const store = await PostgresStore.open(table.storeOptions({ settings: { DATABASE_URL: url.href } }))
  closing.push(async () => {
    await store.close()
    await table.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })
  await table.insert([{ id: '1', deadline: Date.now() - 10 }])
  await table.pool.query(`REVOKE UPDATE ON orders FROM ${role}`)
  const events = await startWorker(raw, store, { maxAttempts: 1 })
  const postponed = new Promise((resolve) => events.on('check-postponed', resolve))
  await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'j1' })
  expect(await postponed).toMatchObject({ why: 'STORE_REFUSED' })
  await table.pool.query(`GRANT UPDATE ON orders TO ${role}`)
  expect((await inState(raw, 'j1', 'completed')).returnvalue.outcome).toBe('cancelled')
})

test('a job without a usable time of its own fails, and is not checked without end', async () => {
  const { store } = await openTable({ deadlineType: null })
  const raw = openQueue()
  await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'j1' })
  await raw.redis.hset(raw.queue.toKey('j1'), 'timestamp', 'yesterday')
  await startWorker(raw, store)
  expect((await inState(raw, 'j1', 'failed')).failedReason).toMatch(/^INVALID_JOB/)
})

test('an order whose row is locked by a payment is postponed, and kept once that commits', async () => {
  const { table, store } = await openTable()
  const raw = openQueue()
  const events = await startWorker(raw, store)
  const postponed = new Promise((resolve) => events.on('check-postponed', resolve))
  await table.insert([
    { id: '1', deadline: Date.now() - 10 },
    { id: '2', deadline: Date.now() - 10 },
  ])
  const payment = await table.pool.connect()
  await payment.query(`BEGIN; UPDATE orders SET status = 'paid' WHERE id = 1`)
  await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'j1' })
  await raw.queue.add('check-payment', { orderId: '2' }, { jobId: 'j2' })
  expect(await postponed).toMatchObject({ orderId: '1', why: 'locked' })
  expect((await inState(raw, 'j2', 'completed')).returnvalue.outcome).toBe('cancelled')
  await payment.query('COMMIT')
  payment.release()
  expect((await inState(raw, 'j1', 'completed')).returnvalue).toMatchObject({ outcome: 'kept', status: 'paid' })
})

test('where the store keeps no deadlines, a check of the library knows its own, however often it comes too early', async () => {
  const { table, store } = await openTable({ deadlineType: null })
  const raw = openQueue()
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
  closing.push(() => shop.close())
  const events = await startWorker(raw, store)
  let postponed = 0
  events.on('check-postponed', () => postponed++)
  await table.insert([{ id: '1' }])
  const deadline = new Date(Date.now() + 2_500)
  await shop.schedule({ orderId: '1', deadline })
  for (const times of [1, 2]) {
    await (await raw.queue.getJob('order-1'))?.promote()
    await eventually(`it has come too early, ${times} times`, () => postponed === times)
    await inState(raw, 'order-1', 'delayed')
  }
  expect(await shop.find('1')).toMatchObject({ check: { deadline } })
  const { returnvalue, data } = await inState(raw, 'order-1', 'completed')
  expect(returnvalue).toMatchObject({ outcome: 'cancelled', deadline: deadline.toISOString() })
  expect(data).toEqual({ orderId: '1' })
})

test("where the store keeps no deadlines, the job's counts; without one, when the producer wanted it to run", async () => {
  const { table, store } = await openTable({ deadlineType: null })
  const raw = openQueue()
  await startWorker(raw, store, { paymentTimeoutMs: 1_000 })
  await table.insert(['1', '2', '3'].map((id) => ({ id })))
  const addedAt = Date.now()
  await raw.queue.add('check-payment', { orderId: '1', deadline: addedAt + 500 }, { jobId: 'j1' })
  const early = await raw.queue.add('check-payment', { orderId: '2' }, { jobId: 'j2', delay: 700 })
  await early.promote()
  await raw.queue.add('check-payment', { orderId: '3' }, { jobId: 'j3' })
  for (const id of ['j1', 'j2', 'j3']) await inState(raw, id, 'completed')
  const { rows } = await table.pool.query('SELECT order_id, at FROM audit ORDER BY order_id')
  const afterMs = rows.map(({ at }) => at.getTime() - addedAt)
  expect(afterMs[0]).toBeGreaterThanOrEqual(500)
  expect(afterMs[1]).toBeGreaterThanOrEqual(700)
  expect(afterMs[2]).toBeGreaterThanOrEqual(1_000)
})
