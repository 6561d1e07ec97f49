import { expect, test } from '@jest/globals'
import type { PaidLate } from '../../src/order/store.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { OrdersTable, type StoreOverrides, type TableOptions } from '../helpers/orders-table.ts'

/** Payments after a cancellation, in the shop's own table. */

async function openTable(options: TableOptions = {}): Promise<OrdersTable> {
  const table = await OrdersTable.create({ hasTrigger: false, ...options })
  closing.push(() => table.drop())
  await table.migrate()
  return table
}

async function openStore(table: OrdersTable, overrides: StoreOverrides = {}): Promise<PostgresStore> {
  const store = await PostgresStore.open(table.storeOptions(overrides))
  closing.push(() => store.close())
  return store
}

/** What one round tells of: as many calls as it asks for. */
async function round(store: PostgresStore): Promise<PaidLate[]> {
  const told: PaidLate[] = []
  for (let isMore = true; isMore; ) {
    const found = await store.tellPaidLate()
    expect(found.failed).toBeUndefined()
    told.push(...found.orders)
    isMore = found.isMore
  }
  return told
}

const idsOf = (orders: readonly PaidLate[]) => orders.map(({ orderId }) => orderId).sort()

async function cancel(store: PostgresStore, table: OrdersTable, ids: readonly string[]): Promise<void> {
  const deadline = Date.now() - 1_000
  await table.insert(ids.map((id) => ({ id, deadline })))
  const outcomes = await store.cancelUnpaid(ids.map((orderId) => ({ orderId, deadline })))
  expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['cancelled']))
}

async function lateEvents(table: OrdersTable) {
  return (await table.outbox()).filter(({ type }) => type === 'order.paid_late')
}

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`

test.each<[string, TableOptions, ((n: number) => string)?]>([
  ['a plain table', {}],
  ['an enum', { statusType: 'enum' }],
  ['numbers', { statusType: 'integer' }],
  ['no status', { statusType: null }],
  ['local time', { deadlineType: 'timestamp', timeZone: 'America/New_York' }],
  ['no deadline', { deadlineType: null }],
  ['uuids', { idType: 'uuid' }, uuid],
  ['citext', { idType: 'citext' }, (n) => `Order-${n}`],
  ['partitions', { shape: 'partitioned' }],
  ['a view', { shape: 'view' }, (n) => `1-${n}`],
])('each is told of once, and none that is no such payment: %s', async (_, options, id = String) => {
  const table = await openTable(options)
  const store = await openStore(table)
  const [late, alsoLate, cancelled, paid] = [1, 2, 3, 4].map(id) as [string, string, string, string]
  await cancel(store, table, [late, alsoLate, cancelled])
  await table.insert([{ id: paid, deadline: Date.now() + 60_000 }])
  await table.pay(paid)
  expect(await round(store)).toEqual([])
  const local = options.deadlineType === 'timestamp' ? `AT TIME ZONE 'America/New_York'` : ''
  const pay = `UPDATE orders SET paid_at = now() ${local} WHERE id::text = ANY ($1)`
  await table.pool.query(pay, [[late, alsoLate]])
  expect(idsOf(await round(store))).toEqual([late, alsoLate].sort())
  const events = await lateEvents(table)
  expect(events.map(({ order_id }) => order_id).sort()).toEqual([late, alsoLate].sort())
  const [{ data } = { data: {} }] = events as unknown as { data: Record<string, string> }[]
  const names = ['at', 'cancelledAt', 'deadline', 'paidAt'].filter(
    (name) => name !== 'deadline' || options.deadlineType !== null,
  )
  expect(Object.keys(data).sort()).toEqual(names)
  const times = Object.values(data).map((text) => Math.abs(Date.parse(text) - Date.now()))
  expect(Math.max(...times)).toBeLessThan(60_000)

  await table.pool.query('DELETE FROM order_expiry_outbox') // delivered
  expect(await round(store)).toEqual([])
  expect(await round(await openStore(table))).toEqual([])
  expect(await lateEvents(table)).toEqual([])
})

test('without a column that says when it was cancelled, late payments are found all the same', async () => {
  const table = await openTable()
  const store = await openStore(table, { settings: { ORDERS_CANCELLED_AT_COLUMN: undefined } })
  await cancel(store, table, ['1', '2'])
  await table.pool.query('UPDATE orders SET paid_at = now() WHERE id = 1')
  await table.pool.query(`UPDATE orders SET paid_at = now() - interval '1 day' WHERE id = 2`)
  expect(await round(store)).toEqual([{ orderId: '1' }]) // the other may have been cancelled by hand long ago
  expect((await lateEvents(table))[0]?.data).not.toHaveProperty('cancelledAt')
})

test('a column that knows only the day will do', async () => {
  const table = await openTable()
  await table.pool.query('ALTER TABLE orders ALTER paid_at TYPE date')
  for (const ORDERS_CANCELLED_AT_COLUMN of ['cancelled_at', undefined]) {
    const id = ORDERS_CANCELLED_AT_COLUMN ? '1' : '2'
    const store = await openStore(table, { settings: { ORDERS_CANCELLED_AT_COLUMN } })
    await cancel(store, table, [id])
    await table.pool.query('UPDATE orders SET paid_at = current_date WHERE id = $1', [id])
    expect(await round(store)).toEqual([{ orderId: id }])
    expect(await round(store)).toEqual([])
  }
})

test('a day is the same in each time zone of a session', async () => {
  const table = await openTable()
  await table.pool.query('ALTER TABLE orders ALTER paid_at TYPE date')
  const found: PaidLate[] = []
  for (const zone of ['Pacific/Kiritimati', 'Pacific/Pago_Pago']) {
    const separator = table.settings.DATABASE_URL?.includes('?') ? '&' : '?'
    const DATABASE_URL = `${table.settings.DATABASE_URL}${separator}options=${encodeURIComponent(`-c timezone=${zone}`)}`
    const store = await openStore(table, { settings: { DATABASE_URL } })
    if (found.length === 0) await cancel(store, table, ['1'])
    await table.pool.query(`UPDATE orders SET paid_at = (now() AT TIME ZONE 'UTC')::date`)
    found.push(...(await round(store)))
  }
  expect(found).toEqual([{ orderId: '1' }])
})

test('of two payments under other times, each is told of', async () => {
  const table = await openTable()
  const store = await openStore(table)
  await cancel(store, table, ['1'])
  for (const minutes of [1, 2]) {
    await table.pool.query('UPDATE orders SET paid_at = now() + make_interval(mins => $1)', [minutes])
    expect(await round(store)).toEqual([{ orderId: '1' }])
  }
})

test('an order that the shop has cancelled after it was paid is told of; what was there before the migration is not', async () => {
  const table = await OrdersTable.create({ hasTrigger: false })
  closing.push(() => table.drop())
  const long = Date.now() - 86_400_000
  await table.insert([
    { id: '1', status: 'cancelled', paidAt: long },
    { id: '2', status: 'paid', paidAt: long },
    { id: '3', status: 'paid', paidAt: long },
  ])
  await table.pool.query(`UPDATE orders SET cancelled_at = now() - interval '1 hour' WHERE id = 1`)
  await table.migrate()
  const store = await openStore(table)
  await table.pool.query(`UPDATE orders SET status = 'cancelled', cancelled_at = now() WHERE id = 2`)
  expect(await round(store)).toEqual([{ orderId: '2' }])
})

test('what was there before the table had a time of payment that we know of is told to nobody', async () => {
  const table = await OrdersTable.create({ hasTrigger: false })
  closing.push(() => table.drop())
  const unknown = table.storeOptions({ settings: { ORDERS_PAID_AT_COLUMN: undefined } })
  await migratePostgres(unknown, { dryRun: false }) // a long time ago
  await table.insert([{ id: '1', status: 'cancelled', paidAt: Date.now() - 1_000 }])
  await table.pool.query('UPDATE orders SET cancelled_at = now()')
  await table.migrate()
  await table.migrate()
  const store = await openStore(table)
  expect(await round(store)).toEqual([])
  await cancel(store, table, ['2'])
  await table.pool.query('UPDATE orders SET paid_at = now() WHERE id = 2')
  await table.migrate()
  expect(await round(store)).toEqual([{ orderId: '2' }])
})

test('several processes tell of each once, at the same time', async () => {
  const table = await openTable()
  const stores = await Promise.all([1, 2, 3, 4].map(() => openStore(table)))
  const ids = Array.from({ length: 800 }, (_, n) => `${n}`)
  await cancel(stores[0] as PostgresStore, table, ids)
  await table.pool.query('UPDATE orders SET paid_at = clock_timestamp()')
  const asked = stores.map(async (store) => {
    // Whoever waits for another one may give up at its lock, and comes again.
    for (;;) {
      try {
        return await round(store)
      } catch (error) {
        expect(error).toMatchObject({ code: 'STORE_LOCKED' })
      }
    }
  })
  const told = (await Promise.all(asked)).flat()
  expect(idsOf(told)).toEqual([...ids].sort())
  expect(new Set((await lateEvents(table)).map(({ order_id }) => order_id)).size).toBe(800)
  expect(await lateEvents(table)).toHaveLength(800)
})

test('a transaction that was rolled back leaves its payments to the next', async () => {
  const table = await openTable()
  const store = await openStore(table)
  await cancel(store, table, ['1'])
  await table.pool.query('UPDATE orders SET paid_at = now()')
  await table.pool.query('ALTER TABLE order_expiry_outbox RENAME TO away')
  await expect(store.tellPaidLate()).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  await table.pool.query('ALTER TABLE away RENAME TO order_expiry_outbox')
  expect(await round(store)).toEqual([{ orderId: '1' }])
})

test('after hours in which nothing ran, thousands are told of, page by page', async () => {
  const table = await openTable()
  await migratePostgres(table.storeOptions(), { dryRun: false, withIndexes: true })
  const store = await openStore(table)
  await table.pool.query(`
    INSERT INTO orders (id, status, paid_at, cancelled_at)
    SELECT n, 'cancelled', now() + n % 7 * interval '1 min', now() FROM generate_series(1, 3500) n`)
  expect(await round(store)).toHaveLength(3_500)
  expect(await round(store)).toEqual([])
  expect(await lateEvents(table)).toHaveLength(3_500)
})

test('one that appears below thousands that were told of is found in the rounds that follow', async () => {
  const table = await openTable()
  await migratePostgres(table.storeOptions(), { dryRun: false, withIndexes: true })
  const store = await openStore(table)
  await table.pool.query(`
    INSERT INTO orders (id, status, paid_at, cancelled_at)
    SELECT n, 'cancelled', now() + n * interval '1 s', now() FROM generate_series(1, 4500) n`)
  expect(await round(store)).toHaveLength(4_500)
  await table.pool.query(`
    INSERT INTO orders (id, status, paid_at, cancelled_at) VALUES (5000, 'cancelled', now() - interval '30 days', now())`)
  const rounds: PaidLate[][] = []
  for (let n = 0; n < 6; n++) rounds.push(await round(store))
  expect(rounds.flat()).toEqual([{ orderId: '5000' }])
})

test('a large table is not read from end to end; with its index it is looked at again', async () => {
  const table = await openTable()
  await table.pool.query(`
    CREATE INDEX ON orders (paid_at);
    INSERT INTO orders (id, status, note, paid_at)
      SELECT n, 'paid', repeat('x', 1900), now() - interval '1 min' FROM generate_series(1, 26000) n;
    INSERT INTO orders (id, status, paid_at, cancelled_at) VALUES (30000, 'cancelled', now() - interval '1 hour', now());
    ANALYZE orders`)
  const store = await openStore(table)
  const refused = await store.tellPaidLate()
  expect(refused).toMatchObject({ orders: [], isMore: false, failed: { code: 'STORE_MISMATCH' } })
  expect(refused.failed?.message).toMatch(/has no index for them.*order-expiry doctor/)
  await migratePostgres(table.storeOptions(), { dryRun: false, withIndexes: true })
  expect(await round(store)).toEqual([{ orderId: '30000' }])
  const { rows } = await table.pool.query(
    `SELECT indexdef FROM pg_indexes WHERE schemaname = '${table.schema}' AND indexname LIKE 'order_expiry_paid_late%'`,
  )
  expect(rows).toEqual([{ indexdef: expect.stringMatching(/\(paid_at, id\) WHERE .*cancelled/) }])
})

test('an outbox of an earlier version cancels as before, says that late payments are told to nobody, and is migrated', async () => {
  const table = await openTable()
  const { pool } = table
  await pool.query('DROP TABLE order_expiry_late_payments; ALTER TABLE order_expiry_tables DROP late_since')
  const notices: string[] = []
  const before = await openStore(table, { onNotice: (notice) => notices.push(notice) })
  expect(notices).toContainEqual(
    expect.stringMatching(/record of late payments .*order_expiry_late_payments.*told to nobody.*order-expiry migrate/),
  )
  await cancel(before, table, ['1'])
  await pool.query('UPDATE orders SET paid_at = now()')
  expect(await round(before)).toEqual([])
  await migratePostgres(table.storeOptions(), { dryRun: false })
  const store = await openStore(table)
  expect(await round(store)).toEqual([]) // from before the migration
  await cancel(store, table, ['2'])
  await pool.query('UPDATE orders SET paid_at = now() WHERE id = 2')
  expect(await round(store)).toEqual([{ orderId: '2' }])
})

test('a table without a time of payment, and a store that is only looked at, tell of nothing and write nothing', async () => {
  const table = await openTable({ paidAt: false })
  expect(await round(await openStore(table))).toEqual([])
  await expect(table.pool.query('SELECT FROM order_expiry_late_payments')).rejects.toThrow('does not exist')
  const other = await openTable()
  await other.insert([{ id: '1', status: 'cancelled', paidAt: Date.now() + 1_000 }])
  expect(await round(await openStore(other, { access: 'read' }))).toEqual([])
  expect(await other.outbox()).toEqual([])
})
