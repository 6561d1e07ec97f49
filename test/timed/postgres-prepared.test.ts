import { afterEach, describe, expect, jest, test } from '@jest/globals'
import pg from 'pg'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { OrdersTable, type StoreOverrides, type TableOptions } from '../helpers/orders-table.ts'
import { startPgbouncer } from '../helpers/pgbouncer.ts'

afterEach(() => {
  jest.restoreAllMocks()
})

const due = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({ orderId: `${from + n}`, deadline: Date.now() - 1_000 }))

async function openTable(orders: number, options: TableOptions = {}): Promise<OrdersTable> {
  const table = await OrdersTable.create(options)
  closing.push(() => table.drop())
  await table.migrate()
  await table.insert(due(0, orders).map(({ orderId, deadline }) => ({ id: orderId, deadline })))
  return table
}

async function openStore(table: OrdersTable, overrides: StoreOverrides = {}): Promise<PostgresStore> {
  const store = await PostgresStore.open(table.storeOptions({ connections: 1, ...overrides }))
  closing.push(() => store.close())
  return store
}

/** The names under which statements are sent from now on, and the connections on which they are. */
function watch() {
  const spy = jest.spyOn(pg.Client.prototype, 'query')
  return {
    names: () => spy.mock.calls.map(([query]: unknown[]) => (query as { name?: string }).name),
    connection: () => spy.mock.contexts.at(-1) as pg.Client,
  }
}

test('each kind of batch has a name', async () => {
  const store = await openStore(await openTable(4, { hasTrigger: false }))
  const sent = watch()
  await store.cancelUnpaid(due(0, 2), { dryRun: true })
  await store.cancelUnpaid(due(0, 2))
  await store.cancelUnpaid(due(2, 2))
  const [dryRun, cancel, again] = sent.names()
  expect(dryRun).toMatch(/^order_expiry_dry_run_/)
  expect(cancel).toMatch(/^order_expiry_cancel_/)
  expect(again).toBe(cancel)
})

describe('a name that the server', () => {
  test.each<[string, string, (name: string) => string]>([
    ['does not know any more', '26000', () => 'DEALLOCATE ALL'],
    ['knows already', '42P05', (name) => `PREPARE ${name} AS SELECT 1`],
  ])('%s (%s) costs one round trip more, once', async (_, state, meddle) => {
    const table = await openTable(40, { hasTrigger: false })
    const sent = watch()
    const other = await openStore(table)
    await other.cancelUnpaid(due(0, 10))
    const name = sent.names().at(-1) as string
    const store = state === '26000' ? other : await openStore(table)
    // Probes have connections of their own.
    const look = () => store.cancelUnpaid(due(0, 1), { dryRun: true })
    await look()
    if (state === '42P05') {
      // A connection that has not used the name, which the start has.
      const { rows } = await sent.connection().query('SELECT pg_backend_pid() AS pid')
      await table.pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid])
      while (!(await look().catch(() => undefined)));
    }
    await sent.connection().query(meddle(name))
    const before = sent.names().length
    for (const from of [10, 20, 30]) {
      const outcomes = await store.cancelUnpaid(due(from, 10))
      expect(outcomes.map(({ kind }) => kind)).toEqual(outcomes.map(() => 'cancelled'))
    }
    expect(sent.names().slice(before)).toEqual([name, undefined, undefined, undefined])
  })
})

test.each([
  'ALTER TABLE orders ADD COLUMN more text, DROP COLUMN note',
  'DROP TRIGGER audit ON orders; ALTER TABLE orders ALTER status TYPE varchar(30)',
  `ALTER TABLE orders ALTER payment_deadline TYPE timestamptz(0)`,
  'ALTER TABLE orders ALTER cancelled_at TYPE date',
  'ALTER TABLE orders DROP CONSTRAINT orders_pkey; CREATE UNIQUE INDEX ON orders (id)',
  'CREATE TABLE copy (LIKE orders INCLUDING ALL); INSERT INTO copy SELECT * FROM orders; ALTER TABLE orders RENAME TO old; ALTER TABLE copy RENAME TO orders',
])('a table that is altered meanwhile is gone on with: %s', async (alter) => {
  const table = await openTable(200)
  const store = await openStore(table)
  // More than the five times after which the server keeps the plan.
  for (let n = 0; n < 8; n++) await store.cancelUnpaid(due(n * 10, 10))
  await table.pool.query(alter)
  for (let n = 8; n < 16; n++) {
    const outcomes = await store.cancelUnpaid(due(n * 10, 10))
    expect(outcomes.map(({ kind }) => kind)).toEqual(outcomes.map(() => 'cancelled'))
  }
  expect(await table.outbox()).toHaveLength(160)
})

test('a plan from when the table was small is not kept once it is slow', async () => {
  const table = await openTable(10)
  await table.pool.query('ALTER TABLE orders SET (autovacuum_enabled = false)')
  await table.pool.query('VACUUM ANALYZE orders')
  const store = await openStore(table)
  for (let n = 0; n < 8; n++) await store.cancelUnpaid(due(0, 250))
  await table.pool.query(
    `INSERT INTO orders SELECT n, 'pending', now() - interval '1 s' FROM generate_series(1000, 60000) n`,
  )
  const sent = watch()
  await store.cancelUnpaid(due(2_000, 250))
  const old = sent.connection()
  const startedAt = Date.now()
  const outcomes = await store.cancelUnpaid(due(3_000, 250))
  expect(Date.now() - startedAt).toBeLessThan(2_000) // 8 s with the old plan
  expect(outcomes.filter(({ kind }) => kind === 'cancelled')).toHaveLength(250)
  expect(sent.connection()).not.toBe(old)
})

test('behind PgBouncer in transaction mode everything works, and is done once', async () => {
  const table = await openTable(4_000)
  const timeouts = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']
  const url = await startPgbouncer(table.settings.DATABASE_URL as string, timeouts)
  const stores = await Promise.all(
    [1, 2, 3].map(() => openStore(table, { settings: { DATABASE_URL: url }, connections: 4 })),
  )
  const batches = Array.from({ length: 40 }, (_, n) => due(n * 100, 100))
  const outcomes = await Promise.all(batches.map((batch, n) => (stores[n % 3] as PostgresStore).cancelUnpaid(batch)))
  expect(outcomes.flat().filter(({ kind }) => kind === 'cancelled')).toHaveLength(4_000)
  expect(await table.outbox()).toHaveLength(4_000)
  expect(await stores[0]?.unpaidDueBefore(Date.now(), undefined, 10)).toEqual([])
  expect(await stores[0]?.find(['7'])).toMatchObject([{ status: 'cancelled' }])
})
