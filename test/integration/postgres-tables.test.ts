import { describe, expect, test } from '@jest/globals'
import type { Outcome } from '../../src/order/order.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable, type StoreOverrides, type TableOptions } from '../helpers/orders-table.ts'

const past = () => Date.now() - 1_000
const checks = (...ids: number[]) => ids.map((id) => ({ orderId: `${id}`, deadline: past() }))
const kindsOf = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind)

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

const place = (table: OrdersTable, ...ids: number[]) =>
  table.insert(ids.map((id) => ({ id: `${id}`, deadline: past() })))
const eventsOf = async (table: OrdersTable) => (await table.outbox()).map(({ order_id }) => order_id).sort()

describe('two rows with one id', () => {
  const twins = (name: string) => `
    ALTER TABLE orders RENAME TO one; CREATE TABLE two (LIKE one INCLUDING ALL);
    INSERT INTO two (id, status, payment_deadline) SELECT id, CASE id WHEN 2 THEN 'paid' ELSE status END, payment_deadline
    FROM one WHERE id <= 2; ${name}`

  test.each<[string, string, RegExp]>([
    [
      'of a partitioned table',
      `CREATE TABLE orders (id bigint, status text, payment_deadline timestamptz, paid_at timestamptz,
         cancelled_at timestamptz, note text, shop int, PRIMARY KEY (id, shop)) PARTITION BY LIST (shop);
       CREATE TABLE p1 PARTITION OF orders FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF orders FOR VALUES IN (2);
       INSERT INTO orders SELECT *, 1 FROM one; INSERT INTO orders SELECT *, 2 FROM two`,
      /no unique index on "?id"? alone, only: .*\(id, shop\)/,
    ],
    [
      'of a table and one that inherits from it',
      `CREATE TABLE orders (LIKE one INCLUDING ALL); INSERT INTO orders SELECT * FROM one;
       CREATE TABLE archive (PRIMARY KEY (id)) INHERITS (orders); INSERT INTO archive SELECT * FROM two`,
      /other tables inherit from it.*archive/,
    ],
    [
      'of a view',
      `CREATE TABLE both_ones AS SELECT * FROM one UNION ALL SELECT * FROM two;
       CREATE VIEW orders AS SELECT * FROM both_ones`,
      /a view/,
    ],
  ])('%s are refused for that order alone, once, and no row of it is touched', async (_, sql, why) => {
    const table = await openTable()
    await place(table, 1, 2, 3)
    await table.pool.query(twins(sql))
    const notices: string[] = []
    const store = await openStore(table, { onNotice: (notice) => notices.push(notice) })
    expect(notices.filter((notice) => why.test(notice))).toHaveLength(1)

    const rows = async () => (await table.pool.query('SELECT * FROM orders WHERE id <= 2 ORDER BY id, status')).rows
    const before = await rows()
    const outcomes = await store.cancelUnpaid(checks(1, 2, 3))
    expect(outcomes).toMatchObject([
      { kind: 'rejected', error: { code: 'STORE_REJECTED', message: expect.stringContaining('several') } },
      { kind: 'rejected', error: { code: 'STORE_REJECTED' } },
      { kind: 'cancelled' },
    ])
    expect(kindsOf(await store.cancelUnpaid(checks(1, 3), { dryRun: true }))).toEqual(['rejected', 'kept'])
    expect(await rows()).toEqual(before)
    expect(await eventsOf(table)).toEqual(['3'])
  })
})

describe('two tables in one schema', () => {
  async function openBoth() {
    const table = await openTable()
    await table.pool.query('CREATE TABLE bookings (LIKE orders INCLUDING ALL)')
    await place(table, 1, 2)
    await table.pool.query('INSERT INTO bookings SELECT * FROM orders')
    await table.pool.query(`UPDATE bookings SET status = 'paid', paid_at = now() WHERE id = 1`)
    const settings = { ORDERS_TABLE: `${table.schema}.bookings` }
    await migratePostgres(table.storeOptions({ settings }), { dryRun: false })
    return { table, orders: await openStore(table), bookings: await openStore(table, { settings }) }
  }

  test('each has its own events: those of the other are neither told of nor counted', async () => {
    const { table, orders, bookings } = await openBoth()
    expect(kindsOf(await orders.cancelUnpaid(checks(1, 2)))).toEqual(['cancelled', 'cancelled'])
    expect(await bookings.eventsOf('1')).toEqual([])
    expect(await bookings.outbox()).toEqual({ events: 0, oldestAgeMs: undefined })
    expect(kindsOf(await bookings.cancelUnpaid(checks(1, 2)))).toEqual(['kept', 'cancelled'])
    expect(await orders.outbox()).toMatchObject({ events: 2 })
    expect(await bookings.outbox()).toMatchObject({ events: 1 })
    const [ofOrder, ofBooking] = [await orders.eventsOf('2'), await bookings.eventsOf('2')]
    expect([ofOrder, ofBooking]).toEqual([[expect.anything()], [expect.anything()]])
    expect(ofOrder).not.toEqual(ofBooking)
    const { rows } = await table.pool.query('SELECT order_id, orders_table FROM order_expiry_outbox ORDER BY 2, 1')
    expect(rows.map(({ order_id, orders_table }) => `${orders_table} ${order_id}`)).toEqual([
      `${table.schema}.bookings 2`,
      `${table.schema}.orders 1`,
      `${table.schema}.orders 2`,
    ])
  })

  test('each has its own backlog', async () => {
    const { table, orders, bookings } = await openBoth()
    const twoDaysAgo = "payment_deadline = now() - interval '2 days'"
    await table.pool.query(`UPDATE bookings SET ${twoDaysAgo}; UPDATE orders SET ${twoDaysAgo}`)
    expect(await bookings.setAside()).toMatchObject({ backlog: { orders: 1 } })
    expect(await orders.setAside()).toMatchObject({ backlog: { orders: 0 } })
  })
})

describe('the outbox', () => {
  const OLD = `DROP TABLE order_expiry_outbox, order_expiry_tables;
    CREATE TABLE order_expiry_outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      event_id uuid NOT NULL DEFAULT gen_random_uuid(),
      type text NOT NULL,
      order_id text NOT NULL,
      data jsonb NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now()
    );
    INSERT INTO order_expiry_outbox (type, order_id, data) SELECT 'order.cancelled', n::text, '{}' FROM generate_series(1, 1000) n`
  const COLUMNS = 'id, event_id, type, order_id, data, created_at'

  test('of version 0.2.0 is asked to be migrated, and loses no event by it', async () => {
    const table = await openTable()
    await table.pool.query(OLD)
    const rows = async () =>
      (await table.pool.query(`SELECT ${COLUMNS} FROM order_expiry_outbox ORDER BY id LIMIT 1000`)).rows
    const before = await rows()
    await expect(openStore(table)).rejects.toMatchObject({
      code: 'OUTBOX_MISSING',
      message: expect.stringContaining('migrate'),
    })
    await table.migrate()
    await table.migrate()
    expect(await rows()).toEqual(before)

    await place(table, 7, 2_000)
    await table.pool.query(`UPDATE orders SET status = 'cancelled' WHERE id = 7`)
    const store = await openStore(table)
    expect(await store.outbox()).toMatchObject({ events: 1_000 })
    expect(kindsOf(await store.cancelUnpaid(checks(2_000)))).toEqual(['cancelled'])
    expect(await store.outbox()).toMatchObject({ events: 1_001 })
    // An old event does not say of which table it is: it counts for an order that is cancelled, not for a paid one.
    expect(await store.eventsOf('7')).toHaveLength(1)
    await table.pool.query(`UPDATE orders SET status = 'paid' WHERE id = 7`)
    expect(await store.eventsOf('7')).toEqual([])
  })

  test.each([
    ['a name', 'cancelled_orders', ''],
    ['a schema and a name that needs quotes', '"Other"."Cancelled Orders"', 'Other'],
  ])('is where OUTBOX_TABLE says: %s', async (_, name, schema) => {
    const table = await openTable()
    const of = schema && `${schema}_${table.schema}`
    const outbox = name.replace('"Other"', `"${of}"`)
    if (of) {
      await table.pool.query(`CREATE SCHEMA "${of}"`)
      closing.push(() => table.pool.query(`DROP SCHEMA "${of}" CASCADE`))
    }
    await table.pool.query('DROP TABLE order_expiry_outbox, order_expiry_tables')
    const settings = { OUTBOX_TABLE: outbox }
    await migratePostgres(table.storeOptions({ settings }), { dryRun: false })
    const store = await openStore(table, { settings })
    await place(table, 1)
    expect(kindsOf(await store.cancelUnpaid(checks(1)))).toEqual(['cancelled'])
    expect((await table.pool.query(`SELECT order_id FROM ${outbox}`)).rows).toEqual([{ order_id: '1' }])
    expect(await store.eventsOf('1')).toHaveLength(1)
    expect(await store.outbox()).toMatchObject({ events: 1 })
    await expect(table.outbox()).rejects.toThrow('order_expiry_outbox')
  })
})

describe("the shop's own statement", () => {
  /** Leaves alone what is marked with `note`, and says so, or says nothing. */
  const statement = (schema: string, saysKept: boolean) => `
    WITH done AS (
      UPDATE ${schema}.orders SET status = 'cancelled', cancelled_at = now()
      WHERE id::text = ANY ($1::text[]) AND status = 'pending' AND payment_deadline <= now() AND note IS NULL
        AND $2::timestamptz[] IS NOT NULL
      RETURNING id)
    SELECT o.id::text, CASE WHEN d.id IS NULL THEN 'kept' ELSE 'cancelled' END AS outcome, NULL::timestamptz AS until
    FROM ${schema}.orders o LEFT JOIN done d USING (id)
    WHERE o.id::text = ANY ($1::text[]) ${saysKept ? '' : 'AND d.id IS NOT NULL'}`

  async function openMarked(saysKept: boolean) {
    const table = await openTable()
    await place(table, 1, 2)
    await table.pool.query(`UPDATE orders SET note = 'deleted' WHERE id = 1`)
    return { table, store: await openStore(table, { settings: { cancelSql: statement(table.schema, saysKept) } }) }
  }

  const dueOf = async (store: PostgresStore) =>
    (await store.unpaidDueBefore(Date.now(), undefined, 10)).map(({ orderId }) => orderId).sort()

  test('that keeps an unpaid order is not asked again until somebody changes the row', async () => {
    const { table, store } = await openMarked(true)
    expect(await dueOf(store)).toEqual(['1', '2'])
    expect(kindsOf(await store.cancelUnpaid(checks(1, 2)))).toEqual(['kept', 'cancelled'])
    expect(await dueOf(store)).toEqual([])
    await table.pool.query(`UPDATE orders SET note = 'deleted twice' WHERE id = 1`)
    expect(await dueOf(store)).toEqual(['1'])
    expect(kindsOf(await store.cancelUnpaid(checks(1)))).toEqual(['kept'])
    expect(await dueOf(store)).toEqual([])
    await table.pool.query('UPDATE orders SET note = NULL WHERE id = 1')
    expect(kindsOf(await store.cancelUnpaid(checks(1)))).toEqual(['cancelled'])
    expect(await eventsOf(table)).toEqual(['1', '2'])
  })

  test('is asked again about a row that somebody changes while it decides', async () => {
    const table = await openTable()
    await place(table, 1)
    await table.pool.query(`UPDATE orders SET note = 'deleted' WHERE id = 1`)
    const slow = statement(table.schema, true).replace('FROM', 'FROM (SELECT pg_sleep(1)) AS slow,')
    const store = await openStore(table, { settings: { cancelSql: slow } })
    const deciding = store.cancelUnpaid(checks(1))
    await eventually('it decides', async () => {
      const sql = `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%${table.schema}%'`
      return (await table.pool.query(sql)).rowCount === 1
    })
    await table.pool.query('UPDATE orders SET note = NULL WHERE id = 1')
    expect(kindsOf(await deciding)).toEqual(['kept'])
    expect(await dueOf(store)).toEqual(['1'])
    expect(kindsOf(await store.cancelUnpaid(checks(1)))).toEqual(['cancelled'])
  })

  describe('with a role of its own', () => {
    async function openAs(rights: string, saysKept: boolean) {
      const table = await openTable()
      await place(table, 1, 2)
      const role = `role_of_${table.schema}`
      await table.pool.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${table.schema} TO ${role};
        GRANT SELECT, INSERT ON order_expiry_outbox TO ${role}; GRANT SELECT ON order_expiry_tables TO ${role};
        ${rights.replaceAll('$role', role)}`)
      closing.push(() => table.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
      const url = new URL(table.storeOptions().settings.DATABASE_URL as string)
      url.username = role
      const settings = { cancelSql: statement(table.schema, saysKept), DATABASE_URL: url.href }
      return { table, settings }
    }

    test('that may not read every column, what it keeps is asked about in every sweep', async () => {
      const columns = 'id, status, payment_deadline, cancelled_at, note'
      const { table, settings } = await openAs(
        `GRANT SELECT (${columns}, paid_at), UPDATE (status, cancelled_at) ON orders TO $role;
         ALTER TABLE orders ADD secret text; UPDATE orders SET note = 'deleted' WHERE id = 1`,
        true,
      )
      const store = await openStore(table, { settings })
      for (const kinds of [
        ['kept', 'cancelled'],
        ['kept', 'kept'],
      ]) {
        expect(kindsOf(await store.cancelUnpaid(checks(1, 2)))).toEqual(kinds)
        expect(await dueOf(store)).toEqual(['1'])
      }
    })

    test('that may not lock rows, an order that it does not return is taken for locked until it is overdue', async () => {
      const { table, settings } = await openAs('GRANT SELECT ON orders TO $role', false)
      await table.pool.query(`UPDATE orders SET payment_deadline = now() - interval '1 minute' WHERE id = 2`)
      const { schema } = table
      await table.pool.query(`CREATE FUNCTION settle(text[], timestamptz[]) RETURNS TABLE (id text, outcome text, until timestamptz)
        SECURITY DEFINER LANGUAGE sql AS $f$
          UPDATE ${schema}.orders o SET status = 'cancelled' WHERE o.id IN (
            SELECT p.id FROM ${schema}.orders p WHERE p.id::text = ANY ($1) AND p.status = 'pending' FOR UPDATE SKIP LOCKED)
          RETURNING o.id::text, 'cancelled', NULL::timestamptz $f$`)
      const cancelSql = `SELECT * FROM ${schema}.settle($1, $2)`
      const store = await openStore(table, { settings: { ...settings, cancelSql } })
      const payment = await table.pool.connect()
      await payment.query('BEGIN; SELECT FROM orders FOR UPDATE')
      expect(await store.cancelUnpaid(checks(1, 2))).toMatchObject([
        { kind: 'postponed', reason: 'locked' },
        { kind: 'rejected', error: { code: 'STORE_REJECTED' } },
      ])
      await payment.query('ROLLBACK')
      payment.release()
      expect(kindsOf(await store.cancelUnpaid(checks(1, 2)))).toEqual(['cancelled', 'cancelled'])
    })
  })

  test('that says nothing of an unpaid order is told to, unless somebody has locked the row', async () => {
    const { table, store } = await openMarked(false)
    expect(await store.cancelUnpaid(checks(1, 2))).toMatchObject([
      { kind: 'rejected', error: { code: 'STORE_REJECTED', message: expect.stringContaining('CANCEL_SQL_FILE') } },
      { kind: 'cancelled' },
    ])
    const payment = await table.pool.connect()
    await payment.query('BEGIN; SELECT FROM orders WHERE id = 1 FOR UPDATE')
    expect(await store.cancelUnpaid(checks(1))).toMatchObject([{ kind: 'postponed', reason: 'locked' }])
    await payment.query('ROLLBACK')
    payment.release()
  })
})

test.each(['o', 'orders'])(
  'a condition that names the table, as %s, is refused: an index could not have it',
  async (name) => {
    const settings = {
      ORDERS_CONDITION: `${name}.note IS NULL`,
      ORDERS_SET: `note = coalesce(${name}.note, 'expired')`,
    }
    const opening = openStore(await openTable(), { settings })
    await expect(opening).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    const problem = 'expected SQL on the columns of one row, without the name of the table'
    for (const setting of ['ORDERS_CONDITION', 'ORDERS_SET'])
      await expect(opening).rejects.toThrow(`${setting}: ${problem}`)
  },
)

test('a row for which the condition fails stops neither the start nor the cancellation of others', async () => {
  const table = await openTable()
  await table.pool.query('ALTER TABLE orders ADD is_paid text, ADD kind text')
  await place(table, 1, 2)
  await table.pool.query(`UPDATE orders SET kind = CASE id WHEN 1 THEN 'unknown' ELSE '0' END, is_paid = 'no'`)
  const store = await openStore(table, { settings: { ORDERS_CONDITION: 'kind::int = 0' }, onNotice: () => {} })
  expect(kindsOf(await store.cancelUnpaid(checks(2)))).toEqual(['cancelled'])
  await expect(store.cancelUnpaid(checks(1))).rejects.toMatchObject({ code: 'STORE_REJECTED' })
})

describe('a table that changes under the store', () => {
  test.each<[string, TableOptions, string]>([
    ['a status is renamed', { statusType: 'enum' }, `ALTER TYPE order_status RENAME VALUE 'pending' TO 'waiting'`],
    ['another status is renamed', { statusType: 'enum' }, `ALTER TYPE order_status RENAME VALUE 'cancelled' TO 'gone'`],
    ['a column is dropped', {}, 'ALTER TABLE orders DROP COLUMN paid_at'],
    ['a column has another type', {}, 'ALTER TABLE orders ALTER status TYPE int USING 1'],
    ['the outbox loses a column', {}, 'ALTER TABLE order_expiry_outbox DROP COLUMN orders_table'],
    ['the table is gone', {}, 'DROP TABLE orders'],
  ])('%s: the ping says that the table no longer matches', async (_, options, sql) => {
    const table = await openTable(options)
    await place(table, 1)
    const store = await openStore(table)
    await expect(store.ping()).resolves.toBeGreaterThan(0)
    await table.pool.query(sql)
    await expect(store.ping()).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  })
})

describe('the zone of a timestamp', () => {
  test.each(['CET', 'cet', 'MET', 'EST', 'BST', 'IST', 'PST'])(
    'the abbreviation %s is refused: PostgreSQL knows no summer time for it, or another zone',
    async (zone) => {
      const table = await openTable({ deadlineType: 'timestamp' })
      await expect(openStore(table, { settings: { ORDERS_TIME_ZONE: zone } })).rejects.toMatchObject({
        code: 'STORE_MISMATCH',
        message: expect.stringContaining(`ORDERS_TIME_ZONE: expected the zone of a place`),
      })
    },
  )

  test.each(['UTC', 'GMT', 'Zulu', 'Europe/Paris', 'EST5EDT'])('%s is one', async (zone) => {
    const table = await openTable({ deadlineType: 'timestamp' })
    await openStore(table, { settings: { ORDERS_TIME_ZONE: zone } })
  })
})
