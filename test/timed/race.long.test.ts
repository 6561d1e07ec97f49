import { expect, test } from '@jest/globals'
import { type Fact, judgePromises } from '../../src/commands/demo/judge.ts'
import { OrderExpiry } from '../../src/index.ts'
import { HEALTHY_MS } from '../../src/order/promise.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { openShop } from '../helpers/open-shop.ts'
import type { OrdersTable } from '../helpers/orders-table.ts'
import { Random } from '../helpers/random.ts'
import type { RawQueue } from '../helpers/raw-queue.ts'

/*
 * The promises, held against what the database itself has recorded: orders whose deadlines are spread over some time, a
 * third paid before, a third paid by concurrent transactions around the deadline, a third never.
 */

interface PlannedOrder {
  id: string
  deadline: number
  /** When the payment's transaction begins; undefined: never. */
  payAt: number | undefined
}

function plan(count: number, spreadMs: number, leadMs: number): PlannedOrder[] {
  const now = Date.now()
  const random = new Random(1)
  return Array.from({ length: count }, (_, i) => {
    const deadline = now + leadMs + Math.floor((i / count) * spreadMs)
    const payAt = [now, deadline + random.between(-100, 99), undefined][i % 3]
    return { id: `${i + 1}`, deadline, payAt }
  })
}

/** Pays as a shop does: only while the order is pending, in a transaction that takes a moment. */
async function pay(table: OrdersTable, order: PlannedOrder): Promise<boolean> {
  const { payAt = 0, id } = order
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, payAt - Date.now())))
  const { rowCount } = await table.pool.query(
    `UPDATE orders SET status = 'paid', paid_at = clock_timestamp() FROM pg_sleep(0.002) WHERE id = $1 AND status = 'pending'`,
    [id],
  )
  return rowCount === 1
}

/** @returns the ids of those whose payment came in time */
async function payAll(table: OrdersTable, orders: readonly PlannedOrder[]): Promise<ReadonlySet<string>> {
  const paid = new Set<string>()
  await Promise.all(
    orders.map(async (order) => {
      if (order.payAt !== undefined && (await pay(table, order))) paid.add(order.id)
    }),
  )
  return paid
}

/** What the database has recorded of a change of status. Times are epoch milliseconds. */
interface AuditedChange {
  order_id: string
  before: string
  after: string
  is_paid: boolean
  at: number
  /** What the order says itself, if it is cancelled. */
  cancelled_at: number | null
}

function factOf(change: AuditedChange): Fact {
  const { order_id: orderId, before, after, is_paid: isPaid, at, cancelled_at: cancelledAt } = change
  if (after === 'paid') return { orderId, at, what: 'paid' }
  if (after !== 'cancelled') throw new Error(`expected no order to become ${after}`)
  const seen = isPaid ? 'paid' : before === 'pending' ? 'unpaid' : before
  return { orderId, at, what: 'cancelled', decidedAt: Math.min(at, cancelledAt ?? at), before: seen }
}

async function judge(table: OrdersTable, orders: readonly PlannedOrder[], paid: ReadonlySet<string>): Promise<void> {
  const ms = (column: string) => `(extract(epoch FROM ${column}) * 1000)::float8`
  const { rows: changes } = await table.pool.query<AuditedChange>(
    `SELECT a.order_id, a.before, a.after, a.paid_at IS NOT NULL AS is_paid,
            ${ms('a.at')} AS at, ${ms('o.cancelled_at')} AS cancelled_at
     FROM audit a LEFT JOIN orders o ON o.id::text = a.order_id ORDER BY a.at`,
  )
  const outbox = await table.outbox()
  const facts: Fact[] = [
    ...orders.map(({ id: orderId, deadline }): Fact => ({ orderId, at: 0, what: 'placed', deadline })),
    ...changes.map(factOf),
    ...outbox.map(({ order_id: orderId, data }): Fact => ({ orderId, at: Date.parse(data.at), what: 'announced' })),
  ]
  // Whatever its deadline, each order is settled by now.
  const bounds = { withinMs: () => HEALTHY_MS, healthySince: 0, until: Number.POSITIVE_INFINITY }
  expect(judgePromises({ facts, ...bounds })).toEqual([])
  expect(new Set(outbox.map(({ event_id }) => event_id)).size).toBe(outbox.length)

  const { rows } = await table.pool.query<{ id: string; status: string }>('SELECT id::text, status FROM orders')
  const expected = orders.map(({ id }) => ({ id, status: paid.has(id) ? 'paid' : 'cancelled' }))
  const byId = (a: { id: string }, b: { id: string }) => Number(a.id) - Number(b.id)
  expect(rows.sort(byId)).toEqual(expected)
}

/** A shop, and a daemon that works for it. */
async function open(): Promise<{ table: OrdersTable; raw: RawQueue }> {
  const { table, raw, env } = await openShop()
  const daemon = await DaemonProcess.start(env)
  closing.push(() => daemon.stop())
  return { table, raw }
}

async function untilSettled(raw: RawQueue, count: number): Promise<void> {
  await eventually(
    'every check is finished',
    async () => {
      const counts = await raw.queue.getJobCounts('completed', 'failed', 'delayed', 'wait', 'active')
      const { completed = 0, failed, delayed, wait, active } = counts
      expect(failed).toBe(0)
      // Of jobs with ids of a shop's own the sweep knows nothing: it gives those orders one more.
      return completed >= count && delayed === 0 && wait === 0 && active === 0
    },
    60_000,
  )
}

test('10,000 orders over 20 s, with the library: no paid order cancelled, every unpaid one within 1 s, none before', async () => {
  const { table, raw } = await open()
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
  closing.push(() => shop.close())

  const orders = plan(10_000, 20_000, 12_000)
  await table.insert(orders)
  const results = await shop.scheduleMany(orders.map(({ id, deadline }) => ({ orderId: id, deadline })))
  // Unchanged: a sweep has found the row, and was faster.
  expect(results.every((result) => 'result' in result && ['scheduled', 'unchanged'].includes(result.result))).toBe(true)
  expect(Date.now()).toBeLessThan(orders[0]?.deadline as number) // or what follows would measure the placing

  const paid = await payAll(table, orders)
  await untilSettled(raw, orders.length)
  await judge(table, orders, paid)
  expect(paid.size).toBeGreaterThan(orders.length / 3)
}, 120_000)

test('a bare BullMQ producer, with ids of its own and no other options, gets the same result', async () => {
  const { table, raw } = await open()
  const orders = plan(1_000, 4_000, 3_000)
  await table.insert(orders)
  await raw.queue.addBulk(
    orders.map(({ id, deadline }) => ({
      name: 'check-payment',
      data: { orderId: id, deadline },
      opts: { jobId: `shop-${id}-check`, delay: deadline - Date.now() },
    })),
  )
  const paid = await payAll(table, orders)
  await untilSettled(raw, orders.length)
  await judge(table, orders, paid)
}, 60_000)
