import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import type { ToldPaidLate } from '../../src/order/store.ts'
import { cloudEvent } from '../../src/outbox/cloud-event.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { schemaProblems } from '../helpers/event-schema.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

/** The statements of docs/payments.md, as they stand there. */

const page = readFileSync('docs/payments.md', 'utf8')
const [ORDERS = '', PAY = '', PAY_LATE = '', STOCK = '', REOPEN = '', ...others] = [
  ...page.matchAll(/```sql\n([\s\S]*?)```/g),
].map(([, sql]) => sql as string)

interface Shop {
  table: OrdersTable
  store: PostgresStore
  place(id: number, items?: Record<string, number>): Promise<void>
  cancel(...ids: number[]): Promise<void>
  pay(id: number): Promise<'in time' | 'late' | 'known'>
  statusOf(id: number): Promise<string | undefined>
}

async function openShop({ reopenSql, within = 900_000 }: { reopenSql?: string; within?: number } = {}): Promise<Shop> {
  const table = await OrdersTable.create({ hasTrigger: false })
  closing.push(() => table.drop())
  await table.migrate()
  await table.pool.query(`DROP TABLE orders CASCADE; ${ORDERS}; ${STOCK}`)
  const search = `${table.settings.DATABASE_URL}?options=${encodeURIComponent(`-c search_path=${table.schema}`)}`
  const settings = { DATABASE_URL: search, reopenSql, REOPEN_WITHIN: within }
  const store = await PostgresStore.open(table.storeOptions({ settings }))
  closing.push(() => store.close())
  const { pool } = table
  return {
    table,
    store,
    async place(id, items = {}) {
      await pool.query(`INSERT INTO orders VALUES ($1, 'pending', now() - interval '1 s')`, [id])
      for (const [sku, quantity] of Object.entries(items)) {
        await pool.query('INSERT INTO stock VALUES ($1, 0) ON CONFLICT DO NOTHING', [sku])
        await pool.query('INSERT INTO order_items VALUES ($1, $2, $3)', [id, sku, quantity])
      }
    },
    async cancel(...ids) {
      await store.cancelUnpaid(ids.map((id) => ({ orderId: `${id}`, deadline: 0 })))
    },
    async pay(id) {
      if ((await pool.query(PAY, [id])).rowCount === 1) return 'in time'
      return (await pool.query(PAY_LATE, [id])).rowCount === 1 ? 'late' : 'known'
    },
    statusOf: (id) => table.statusOf(`${id}`),
  }
}

async function lateEvents({ table }: Shop) {
  const events = await table.outbox()
  return events.filter(({ type }) => type === 'order.paid_late') as unknown as {
    order_id: string
    type: string
    data: object
  }[]
}

test('the page has the statements that are run here', () => {
  expect(others).toEqual([])
})

test('a payment in time is known, a late one is noted and told of, and a repeated one changes nothing', async () => {
  const shop = await openShop()
  await shop.place(1)
  await shop.place(2)
  expect(await shop.pay(1)).toBe('in time')
  await shop.cancel(1, 2)
  expect([await shop.statusOf(1), await shop.statusOf(2)]).toEqual(['paid', 'cancelled'])
  expect([await shop.pay(1), await shop.pay(2), await shop.pay(2), await shop.pay(3)]).toEqual([
    'known',
    'late',
    'known',
    'known',
  ])
  expect(await shop.statusOf(2)).toBe('cancelled')
  expect(await shop.store.tellPaidLate()).toMatchObject({ orders: [{ orderId: '2' }] })
})

test('where payment and cancellation meet, one of them wins each order, and both know which', async () => {
  const shop = await openShop()
  const ids = Array.from({ length: 300 }, (_, n) => n + 1)
  for (const id of ids) await shop.place(id)
  const batches = Array.from({ length: 15 }, (_, n) => ids.slice(n * 20, n * 20 + 20))
  const payments = Promise.all([...ids].reverse().map((id) => shop.pay(id)))
  await Promise.all([payments, ...batches.map((batch) => shop.cancel(...batch))])
  const answers = (await payments).reverse()
  await shop.cancel(...ids) // those that were locked
  const cancelled = new Set((await shop.table.outbox()).map(({ order_id }) => order_id))
  for (const [n, id] of ids.entries()) {
    const isCancelled = cancelled.has(`${id}`)
    expect([id, answers[n], await shop.statusOf(id)]).toEqual([
      id,
      isCancelled ? 'late' : 'in time',
      isCancelled ? 'cancelled' : 'paid',
    ])
  }
  expect(await tellAll(shop)).toHaveLength(cancelled.size)
})

test('a payment that waits for the cancellation finds the order cancelled', async () => {
  const shop = await openShop()
  await shop.place(1)
  const cancelling = await shop.table.pool.connect()
  await cancelling.query(`BEGIN; UPDATE orders SET status = 'cancelled', cancelled_at = now() WHERE id = 1`)
  const payment = shop.pay(1)
  await eventually('the payment waits', async () => {
    const sql = `SELECT FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))`
    const { rows } = await cancelling.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    return (await shop.table.pool.query(sql, [rows[0]?.pid])).rowCount === 1
  })
  await cancelling.query('COMMIT')
  cancelling.release()
  expect(await payment).toBe('late')
})

async function tellAll({ store }: Shop): Promise<ToldPaidLate['orders']> {
  const told: ToldPaidLate['orders'] = []
  for (let isMore = true; isMore; ) {
    const found = await store.tellPaidLate()
    told.push(...found.orders)
    isMore = found.isMore
  }
  return told
}

test('an order that is paid soon after its cancellation is opened again with its stock, or not at all', async () => {
  const shop = await openShop({ reopenSql: REOPEN })
  const { pool } = shop.table
  const stock = async () => (await pool.query('SELECT sku, available FROM stock ORDER BY sku')).rows
  await shop.place(1, { cap: 1, mug: 2 })
  await shop.place(2, { cap: 1, mug: 2 })
  await shop.place(3)
  await shop.cancel(1, 2, 3)
  await pool.query(`UPDATE stock SET available = 3`)
  for (const id of [1, 2, 3]) expect(await shop.pay(id)).toBe('late')

  const told = await tellAll(shop)
  expect(told.filter(({ reopened }) => reopened)).toHaveLength(2) // one of two that want the same mugs, and one that wants nothing
  expect(told).toHaveLength(3)
  expect(told).toContainEqual({ orderId: '3', reopened: true })
  expect(await stock()).toEqual([
    { sku: 'cap', available: 2 },
    { sku: 'mug', available: 1 },
  ])
  for (const { orderId, reopened } of told) {
    const { rows } = await pool.query('SELECT status, paid_at, cancelled_at FROM orders WHERE id = $1', [orderId])
    expect(rows).toEqual([
      reopened
        ? { status: 'paid', paid_at: expect.any(Date), cancelled_at: null }
        : { status: 'cancelled', paid_at: expect.any(Date), cancelled_at: expect.any(Date) },
    ])
    const events = (await lateEvents(shop)).filter(({ order_id }) => order_id === orderId)
    expect(events.map(({ data }) => Object.keys(data).sort())).toEqual([
      ['at', 'cancelledAt', 'deadline', 'paidAt', ...(reopened ? ['reopened'] : [])],
    ])
    for (const { type, data } of events) {
      const event = { id: orderId, type, orderId, at: 0, data }
      expect(await schemaProblems(cloudEvent(event as never, '/order-expiry/q') as { type: string })).toBe('')
    }
  }
  expect(await tellAll(shop)).toEqual([])
  expect(await stock()).toContainEqual({ sku: 'mug', available: 1 })
})

test('several processes open an order again once', async () => {
  const shop = await openShop({ reopenSql: REOPEN })
  const others = await Promise.all(
    [1, 2].map(() =>
      PostgresStore.open(
        shop.table.storeOptions({
          settings: {
            DATABASE_URL: `${shop.table.settings.DATABASE_URL}?options=${encodeURIComponent(`-c search_path=${shop.table.schema}`)}`,
            reopenSql: REOPEN,
            REOPEN_WITHIN: 900_000,
          },
        }),
      ),
    ),
  )
  closing.push(...others.map((store) => () => store.close()))
  for (let id = 1; id <= 40; id++) await shop.place(id, { mug: 1 })
  await shop.cancel(...Array.from({ length: 40 }, (_, n) => n + 1))
  await shop.table.pool.query('UPDATE stock SET available = 1000; UPDATE orders SET paid_at = clock_timestamp()')
  const stores = [shop.store, ...others]
  const told = (await Promise.all(stores.map((store) => tellAll({ ...shop, store })))).flat()
  told.push(...(await tellAll(shop))) // what all have found locked
  expect(told.map(({ orderId }) => Number(orderId)).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 40 }, (_, n) => n + 1),
  )
  expect(told.every(({ reopened }) => reopened)).toBe(true)
  expect((await shop.table.pool.query('SELECT available FROM stock')).rows).toEqual([{ available: 960 }])
  expect(await lateEvents(shop)).toHaveLength(40)
})

test('too late to be opened again: after REOPEN_WITHIN, and where the payment came before the cancellation', async () => {
  const shop = await openShop({ reopenSql: REOPEN, within: 60_000 })
  for (const id of [1, 2]) await shop.place(id)
  await shop.cancel(1, 2)
  await shop.table.pool.query(`
    UPDATE orders SET paid_at = now(), cancelled_at = now() - interval '61 s' WHERE id = 1;
    UPDATE orders SET paid_at = cancelled_at - interval '1 s' WHERE id = 2`)
  expect((await tellAll(shop)).sort((a, b) => Number(a.orderId) - Number(b.orderId))).toEqual([
    { orderId: '1' },
    { orderId: '2' },
  ])
  expect([await shop.statusOf(1), await shop.statusOf(2)]).toEqual(['cancelled', 'cancelled'])
})

test.each<[string, string, RegExp]>([
  [
    'fails for this order',
    `UPDATE orders SET status = 'paid', payment_deadline = now() + (1 / (id - 1)) * interval '1 s' WHERE id::text = ANY ($1::text[]) RETURNING id::text`,
    /REOPEN_SQL_FILE: order 1 stays cancelled: .*division by zero/,
  ],
  [
    'answers with an order that it has not opened',
    `UPDATE orders SET cancelled_at = NULL WHERE id::text = ANY ($1::text[]) RETURNING id::text`,
    /REOPEN_SQL_FILE: expected .*still cancelled/,
  ],
])('a statement that %s leaves nothing behind, and the money is told of as late', async (_, reopenSql, message) => {
  const shop = await openShop({ reopenSql })
  await shop.place(1)
  await shop.cancel(1)
  await shop.pay(1)
  const told = await shop.store.tellPaidLate()
  expect(told).toMatchObject({ orders: [{ orderId: '1' }], failed: { code: 'STORE_REJECTED' } })
  expect(told.orders[0]).not.toHaveProperty('reopened')
  expect(told.failed?.message).toMatch(message)
  const { rows } = await shop.table.pool.query('SELECT status, cancelled_at FROM orders')
  expect(rows).toEqual([{ status: 'cancelled', cancelled_at: expect.any(Date) }])
  expect((await lateEvents(shop))[0]?.data).not.toHaveProperty('reopened')
})

test('an order that somebody has locked, or whose stock is, is opened again by the next sweep', async () => {
  const shop = await openShop({ reopenSql: REOPEN })
  await shop.place(1, { mug: 1 })
  await shop.cancel(1)
  await shop.table.pool.query('UPDATE stock SET available = 5')
  await shop.pay(1)
  const client = await shop.table.pool.connect()
  await client.query('BEGIN; SELECT FROM orders FOR UPDATE')
  expect(await shop.store.tellPaidLate()).toEqual({ orders: [], isMore: false })
  await client.query('ROLLBACK; BEGIN; SELECT FROM stock FOR UPDATE')
  expect(await shop.store.tellPaidLate()).toMatchObject({ orders: [], failed: { code: 'STORE_LOCKED' } })
  await client.query('ROLLBACK')
  client.release()
  expect(await lateEvents(shop)).toEqual([])
  expect(await tellAll(shop)).toEqual([{ orderId: '1', reopened: true }])
})

test('a statement that is slow holds up neither the sweep nor, for long, other orders', async () => {
  const shop = await openShop({
    reopenSql: `
WITH slow AS MATERIALIZED (SELECT o.id FROM orders o, pg_sleep(0.5) WHERE o.id::text = ANY ($1::text[]))
UPDATE orders o SET status = 'paid', cancelled_at = NULL FROM slow WHERE o.id = slow.id RETURNING o.id::text AS id`,
  })
  const ids = Array.from({ length: 12 }, (_, n) => n + 1)
  for (const id of ids) await shop.place(id)
  await shop.cancel(...ids)
  await shop.table.pool.query('UPDATE orders SET paid_at = clock_timestamp()')
  const first = await shop.store.tellPaidLate()
  expect(first.orders.length).toBeGreaterThan(0)
  expect(first.orders.length).toBeLessThan(ids.length)
  const told = [...first.orders]
  while (told.length < ids.length) told.push(...(await shop.store.tellPaidLate()).orders)
  expect(told.map(({ orderId }) => Number(orderId)).sort((a, b) => a - b)).toEqual(ids)
  expect(told.every(({ reopened }) => reopened)).toBe(true)
})

test('a statement that is not as the page says is refused at the start', async () => {
  await expect(openShop({ reopenSql: 'SELECT 1 AS order_id WHERE $1::text[] IS NULL' })).rejects.toMatchObject({
    code: 'STORE_MISMATCH',
    message: 'REOPEN_SQL_FILE: expected the column id; id missing (docs/payments.md)',
  })
  await expect(openShop({ reopenSql: 'SELECT id FROM nowhere WHERE id = ANY ($1)' })).rejects.toMatchObject({
    code: 'STORE_MISMATCH',
  })
  await expect(openShop({ reopenSql: 'SELECT 1 AS id' })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
})
