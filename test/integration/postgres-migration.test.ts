import { expect, test } from '@jest/globals'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable, type TableOptions } from '../helpers/orders-table.ts'

async function openTable(options: TableOptions = {}): Promise<OrdersTable> {
  const table = await OrdersTable.create(options)
  closing.push(() => table.drop())
  return table
}

interface Overrides {
  dryRun?: boolean
  withIndexes?: boolean
  watchesPayments?: boolean
  table?: string
}

/** The first words of the statements that a migration runs, or would run, and what it leaves. */
async function migrate(of: OrdersTable, { dryRun = false, withIndexes = false, table, ...rest }: Overrides = {}) {
  const statements: string[] = []
  const settings = table ? { ORDERS_TABLE: `${of.schema}.${table}` } : {}
  const onStatement = (sql: string) =>
    void statements.push(/^(.*?)(?: IF NOT| order_expiry_| "|$)/m.exec(sql)?.[1] ?? sql)
  const missing = await migratePostgres(of.storeOptions({ ...rest, settings }), { dryRun, withIndexes, onStatement })
  return { statements, missing: missing.map(({ isHarmless }) => (isHarmless ? 'harmless' : 'not harmless')) }
}

/** The indexes beside the primary key; `!` where one is invalid. */
async function indexesOf({ pool, schema }: OrdersTable, table = 'orders'): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT indexrelid::regclass::text || CASE WHEN indisvalid THEN '' ELSE '!' END AS name FROM pg_index
     WHERE indrelid = $1::regclass AND NOT indisprimary ORDER BY 1`,
    [`${schema}.${table}`],
  )
  return rows.map(({ name }) => name.replace(/_[0-9a-f]{8}(?=!?$)/, ''))
}

/** Our own tables, where there are none yet: the outbox, the registry, and that of late payments. */
const RECORDS = [
  'CREATE TABLE',
  'CREATE INDEX',
  'CREATE INDEX',
  'CREATE UNIQUE INDEX',
  'CREATE TABLE',
  'INSERT INTO',
  'CREATE TABLE',
  'UPDATE',
]
const INDEX = 'CREATE INDEX CONCURRENTLY'
/** Of the sweep, and of late payments. */
const INDEXES = ['order_expiry_paid_late', 'order_expiry_unpaid']
const HARMLESS = ['harmless', 'harmless']

test('it creates the outbox, and says which index is missing', async () => {
  const table = await openTable()
  expect(await migrate(table, { dryRun: true })).toEqual({ statements: RECORDS, missing: HARMLESS })
  await expect(table.outbox()).rejects.toThrow('order_expiry_outbox')
  expect(await migrate(table)).toEqual({ statements: RECORDS, missing: HARMLESS })
  expect(await migrate(table)).toEqual({ statements: [], missing: HARMLESS })
  expect(await table.outbox()).toEqual([])
  expect(await indexesOf(table)).toEqual([])
})

test('it adds the columns of deliveries to the outbox of an earlier version, once', async () => {
  const table = await openTable()
  await migrate(table)
  const { pool } = table
  await pool.query('ALTER TABLE order_expiry_outbox DROP delivered_to, DROP attempts, DROP delivered_at')
  const open = (areDelivered: boolean) => PostgresStore.open(table.storeOptions({ areDelivered }))
  await expect(open(true)).rejects.toMatchObject({ code: 'OUTBOX_MISSING' })
  const store = await open(false) // who delivers nothing needs nothing new
  expect(await store.outbox()).toMatchObject({ events: 0 })
  expect(store.deliveries).toBeUndefined()
  await store.close()
  const statements = ['ALTER TABLE', 'CREATE INDEX', 'CREATE INDEX', 'CREATE UNIQUE INDEX']
  expect((await migrate(table)).statements).toEqual(statements)
  expect((await migrate(table)).statements).toEqual([])
  const later = await open(true)
  expect(later.deliveries).toBeDefined()
  await later.close()
})

test('to the records of an earlier version it adds those of late payments, for this table only', async () => {
  const table = await openTable()
  await migrate(table)
  const { pool } = table
  await pool.query(`
    DROP TABLE order_expiry_late_payments;
    ALTER TABLE order_expiry_tables DROP late_since;
    INSERT INTO order_expiry_tables (orders_table) VALUES ('bookings')`)
  expect((await migrate(table)).statements).toEqual(['ALTER TABLE', 'CREATE TABLE', 'UPDATE'])
  expect((await migrate(table)).statements).toEqual([])
  const sql = 'SELECT orders_table FROM order_expiry_tables WHERE late_since IS NOT NULL'
  expect((await pool.query(sql)).rows).toEqual([{ orders_table: `${table.schema}.orders` }])
})

test('it creates the missing indexes if asked to, once', async () => {
  const table = await openTable()
  const wanted = { withIndexes: true, watchesPayments: true }
  const statements = [...RECORDS, INDEX, INDEX, INDEX]
  expect(await migrate(table, { ...wanted, dryRun: true })).toEqual({ statements, missing: [] })
  expect(await indexesOf(table)).toEqual([])
  expect(await migrate(table, wanted)).toEqual({ statements, missing: [] })
  expect(await indexesOf(table)).toEqual(['order_expiry_paid', ...INDEXES])
  expect(await migrate(table, wanted)).toEqual({ statements: [], missing: [] })
})

test('where the table has no deadline and no time of payment, no index is missing', async () => {
  const table = await openTable({ deadlineType: null, paidAt: false })
  expect(await migrate(table, { withIndexes: true })).toEqual({ statements: RECORDS.slice(0, 6), missing: [] })
})

test('an index that was left invalid is replaced', async () => {
  const table = await openTable()
  await migrate(table, { withIndexes: true })
  await table.pool.query(
    `UPDATE pg_index SET indisvalid = false WHERE indrelid = '${table.schema}.orders'::regclass AND NOT indisprimary`,
  )
  expect(await indexesOf(table)).toEqual(INDEXES.map((name) => `${name}!`))
  const { statements } = await migrate(table, { withIndexes: true })
  expect(statements).toEqual(INDEXES.flatMap(() => ['DROP INDEX CONCURRENTLY', INDEX]))
  expect(await indexesOf(table)).toEqual(INDEXES)
})

test('an index that would hold up writers is left to people', async () => {
  const table = await openTable()
  await table.pool.query(`CREATE TABLE parts (LIKE orders, PRIMARY KEY (id)) PARTITION BY HASH (id);
    CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)`)
  for (const withIndexes of [false, true]) {
    expect(await migrate(table, { withIndexes, table: 'parts' })).toEqual({
      statements: withIndexes ? [] : RECORDS,
      missing: ['not harmless', 'not harmless'],
    })
  }
  expect(await indexesOf(table, 'parts')).toEqual([])
})

test('it waits for what is under way, and writers do not wait for it; another one gives up at once', async () => {
  const table = await openTable()
  await migrate(table)
  const writer = await table.pool.connect()
  await writer.query('BEGIN')
  await writer.query(`INSERT INTO orders (id, status) VALUES (1, 'pending')`)
  const first = migrate(table, { withIndexes: true })
  const untilItHasWaited = (ms: number) =>
    eventually(`it has waited ${ms} ms for the writer`, async () => {
      const { rowCount } = await table.pool.query(
        `SELECT FROM pg_stat_activity
         WHERE query LIKE 'CREATE INDEX CONCURRENTLY%"${table.schema}"%' AND wait_event_type = 'Lock'
           AND query_start <= clock_timestamp() - $1 * interval '1 ms'`,
        [ms],
      )
      return rowCount === 1
    })
  await untilItHasWaited(0)
  await table.pool.query(`INSERT INTO orders (id, status) VALUES (2, 'pending')`)
  await expect(migrate(table, { withIndexes: true })).rejects.toMatchObject({ code: 'STORE_LOCKED' })
  // Longer than any statement of the daemon waits for a lock.
  await untilItHasWaited(400)
  expect(await migrate(table)).toEqual({ statements: [], missing: ['not harmless', 'harmless'] })
  await writer.query('COMMIT')
  writer.release()
  expect(await first).toEqual({ statements: [INDEX, INDEX], missing: [] })
  expect(await indexesOf(table)).toEqual(INDEXES)
})
