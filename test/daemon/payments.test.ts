import { expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { schemaProblems } from '../helpers/event-schema.ts'
import { eventually } from '../helpers/eventually.ts'
import { startProvider } from '../helpers/open-gateway.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { PaymentService } from '../helpers/payment-service.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { Receiver } from '../helpers/receiver.ts'

/** A shop whose orders have payments, with a queue of its own, a payment service, and a receiver of events. */
async function openShop(settings: Record<string, string> = {}) {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const service = await startProvider(PaymentService)
  const receiver = await Receiver.start()
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
  closing.push(() => shop.close())
  const table = await OrdersTable.create({ idType: 'text' })
  closing.push(() => table.drop())
  await table.pool.query(
    'ALTER TABLE orders ADD COLUMN payment text, ADD COLUMN method text, ADD COLUMN amount numeric(12, 2)',
  )
  await table.migrate()
  const env = {
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    ...receiver.env,
    ...table.env,
    ...service.env,
    ORDERS_PAYMENT_COLUMN: 'payment',
    ORDERS_METHOD_COLUMN: 'method',
    ORDERS_AMOUNT_COLUMN: 'amount',
    PAYMENT_RATE: '10000',
    ...settings,
  }
  const start = async () => {
    const daemon = await DaemonProcess.start(env)
    closing.push(() => daemon.stop())
    return daemon
  }
  /** Orders of one deadline; whatever has a payment is paid by card. */
  const place = async (orders: Record<string, string | null>, deadline = Date.now() - 1_000) => {
    await table.insert(Object.keys(orders).map((id) => ({ id, deadline })))
    for (const [id, payment] of Object.entries(orders)) {
      await table.pool.query(`UPDATE orders SET payment = $2, method = 'card', amount = 19.9 WHERE id = $1`, [
        id,
        payment,
      ])
    }
    await shop.scheduleMany(Object.keys(orders).map((orderId) => ({ orderId, deadline })))
    return deadline
  }
  const isDone = (jobs: number) => async () => (await raw.queue.getCompletedCount()) === jobs
  return {
    raw,
    service,
    receiver,
    shop,
    table,
    env,
    start,
    place,
    isDone,
    run: (...args: string[]) => runCli(args, { env }),
  }
}

test('an order is cancelled after its payment was closed; one that was paid is kept, and told of', async () => {
  const { service, receiver, table, start, place, isDone } = await openShop()
  service.verdict = ({ payment }) => ({ verdict: payment === 'pay_b' ? 'paid' : 'closed' })
  await start()
  const deadline = await place({ a: 'pay_a', b: 'pay_b', c: null, d: '' })
  await eventually('all checks end', isDone(4))
  const statuses = await Promise.all(['a', 'b', 'c', 'd'].map((id) => table.statusOf(id)))
  expect(statuses).toEqual(['cancelled', 'pending', 'cancelled', 'cancelled'])
  expect(service.requests.map(({ payment }) => payment).sort()).toEqual(['pay_a', 'pay_b'])
  expect(service.requests.find(({ orderId }) => orderId === 'a')).toEqual({
    orderId: 'a',
    payment: 'pay_a',
    method: 'card',
    amount: '19.90',
    deadline: new Date(deadline).toISOString(),
    idempotencyKey: expect.any(String),
  })
  await receiver.got(4)
  const found = receiver.events.filter(({ type }) => type === 'order.payment_found')
  expect(found).toMatchObject([
    { subject: 'b', data: { orderId: 'b', payment: 'pay_b', method: 'card', amount: '19.90', verdict: 'paid' } },
  ])
  for (const event of receiver.events) expect([event.type, await schemaProblems(event)]).toEqual([event.type, ''])
})

test('slow payments hold up no other order, and are settled as soon as they are closed', async () => {
  const { raw, service, table, start, place, isDone } = await openShop({ CONCURRENCY: '10' })
  const slow = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`slow-${n}`, `pay_${n}`]))
  service.troubles.push(...Array.from({ length: 40 }, () => 'slow' as const))
  await start()
  await place(slow)
  await eventually('all of them are asked about', () => service.held.length === 40)
  await place(Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`free-${n}`, null])))
  await eventually('the others are cancelled', isDone(60))
  expect(await raw.queue.getActiveCount()).toBe(40)
  expect(await table.statusOf('slow-0')).toBe('pending')
  for (const release of service.held.splice(0)) release()
  await eventually('all are cancelled', isDone(100))
})

test('a payment that is under way for longer than PAYMENT_GRACE fails its check, and its order is not cancelled', async () => {
  const { raw, service, receiver, table, start, place } = await openShop({ PAYMENT_GRACE: '1s' })
  service.verdict = () => ({ verdict: 'in-flight', retryAfter: 1 })
  await start()
  await place({ a: 'pay_a' })
  await eventually('its check fails', async () => (await raw.queue.getFailedCount()) === 1)
  const [job] = await raw.queue.getFailed()
  expect(job?.failedReason).toMatch(/^PAYMENT_UNSETTLED: .*"in-flight".*after the deadline/)
  expect(await table.statusOf('a')).toBe('pending')
  const [event] = await receiver.got(1)
  expect(event).toMatchObject({ type: 'order.check_failed', data: { code: 'PAYMENT_UNSETTLED' } })
})

test('a daemon that stops does not wait for a provider, and another one goes on', async () => {
  const { raw, service, table, start, place, isDone } = await openShop()
  service.troubles.push('slow')
  const daemon = await start()
  await place({ a: 'pay_a' })
  await eventually('the payment is being closed', () => service.held.length === 1)
  expect(await daemon.stop()).toBe(0)
  expect(await raw.queue.getJobCounts('active', 'delayed')).toEqual({ active: 0, delayed: 1 })
  expect(await table.statusOf('a')).toBe('pending')
  await start()
  await eventually('it is cancelled', isDone(1))
  expect(await table.statusOf('a')).toBe('cancelled')
})

test('whatever goes wrong at the provider, no order is cancelled whose payment is not closed', async () => {
  const { service, table, start, place, isDone } = await openShop()
  service.troubles.push('unavailable', 'nonsense', 'truncated', 'lost', 'twice', 'redirect')
  await start()
  await place(Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => [id, `pay_${id}`])))
  await eventually('all are cancelled in the end', isDone(6), 30_000)
  expect(await table.statusOf('f')).toBe('cancelled')
  expect([...new Set(service.closed)].sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => `pay_${id}`))
  const keys = new Map(service.requests.map(({ orderId, idempotencyKey }) => [orderId, idempotencyKey]))
  for (const { orderId, idempotencyKey } of service.requests) expect(idempotencyKey).toBe(keys.get(orderId))
})

test('no payment is closed while the brake is engaged, or in a dry run', async () => {
  const { service, raw, table, env, start, place, run } = await openShop()
  await run('brake', 'engage')
  const daemon = await start()
  await table.insert([{ id: 'old', deadline: Date.now() - 60_000 }])
  await place({ a: 'pay_a' })
  await table.pool.query(`UPDATE orders SET payment = 'pay_old' WHERE id = 'old'`)
  await eventually('its check is put back', async () => (await raw.queue.getDelayedCount()) === 1)
  const swept = async (settings: Record<string, string>) => {
    Object.assign(env, settings)
    return JSON.parse((await run('sweep', '--json')).stdout)
  }
  expect(await swept({})).toMatchObject({ overdue: 1 })
  await daemon.stop()
  await run('brake', 'release')
  expect(await swept({ DRY_RUN: 'true' })).toMatchObject({ overdue: 1 })
  expect(service.asked).toEqual([])
  expect(await table.statusOf('old')).toBe('pending')

  expect(await swept({ DRY_RUN: 'false' })).toMatchObject({ overdue: 1, outcomes: { cancelled: 1 } })
  expect(await table.statusOf('old')).toBe('cancelled')
  expect(service.closed).toEqual(['pay_old'])
})

test('no more payments are closed than orders may be cancelled in the minute', async () => {
  const { raw, service, table, start, place, isDone } = await openShop({ BRAKE_MAX_PER_MINUTE: '5' })
  await start()
  await place(Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`${n}`, `pay_${n}`])))
  await eventually('five are cancelled', isDone(5))
  await eventually('the others wait', async () => (await raw.queue.getDelayedCount()) === 35)
  const { rows } = await table.pool.query(`SELECT payment FROM orders WHERE status = 'cancelled'`)
  expect(rows).toHaveLength(5)
  expect(service.closed.toSorted()).toEqual(rows.map(({ payment }) => payment).toSorted())
})

test('orders of which Redis knows nothing have their payments closed too', async () => {
  const { service, table, start, env } = await openShop()
  Object.assign(env, { SWEEP_EVERY: '1s' })
  await table.insert([{ id: 'a', deadline: Date.now() - 60_000 }])
  await table.pool.query(`UPDATE orders SET payment = 'pay_a'`)
  await start()
  await eventually('it is cancelled', async () => (await table.statusOf('a')) === 'cancelled', 20_000)
  expect(service.closed).toEqual(['pay_a'])
})
