import { afterEach, describe, expect, test } from '@jest/globals'
import { createSettle } from '../../src/order/settle.ts'
import type { DueOrder } from '../../src/order/store.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { sweep } from '../../src/sweep/sweep.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable, type StoreOverrides, type TableOptions } from '../helpers/orders-table.ts'

const HOUR = 3_600_000
const past = () => Date.now() - 1_000

const opened: { store?: PostgresStore; table: OrdersTable }[] = []

async function openTable(options: TableOptions = {}): Promise<OrdersTable> {
  const table = await OrdersTable.create(options)
  opened.push({ table })
  await table.migrate()
  return table
}

async function openStore(table: OrdersTable, overrides: StoreOverrides = {}): Promise<PostgresStore> {
  const store = await PostgresStore.open(table.storeOptions(overrides))
  opened.unshift({ store, table })
  return store
}

afterEach(async () => {
  const all = opened.splice(0)
  for (const { store } of all) await store?.close()
  for (const table of new Set(all.map((entry) => entry.table))) await table.drop()
})

describe('a row that somebody else has locked', () => {
  test('is postponed at once, the rest of the batch is settled, and it is kept once the payment commits', async () => {
    const table = await openTable()
    const store = await openStore(table)
    await table.insert(Array.from({ length: 100 }, (_, i) => ({ id: `${i}`, deadline: past() })))
    const checks = Array.from({ length: 100 }, (_, i) => ({ orderId: `${i}`, deadline: past() }))

    const payment = await table.pool.connect()
    await payment.query('BEGIN')
    await payment.query(`UPDATE orders SET status = 'paid', paid_at = now() WHERE id = 42`)
    const outcomes = await store.cancelUnpaid(checks)
    expect(outcomes[42]).toMatchObject({ kind: 'postponed', reason: 'locked', evidence: { status: 'pending' } })
    expect(outcomes.filter(({ kind }) => kind === 'cancelled')).toHaveLength(99)

    await payment.query('COMMIT')
    payment.release()
    expect(await store.cancelUnpaid([checks[42] as (typeof checks)[0]])).toMatchObject([
      { kind: 'kept', status: 'paid' },
    ])
    expect(await table.outbox()).toHaveLength(99)
  })

  test('is cancelled when the payment is rolled back', async () => {
    const table = await openTable()
    const store = await openStore(table)
    await table.insert([{ id: '1', deadline: past() }])
    const payment = await table.pool.connect()
    await payment.query(`BEGIN; UPDATE orders SET status = 'paid' WHERE id = 1`)
    expect(await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])).toMatchObject([
      { kind: 'postponed', reason: 'locked' },
    ])
    await payment.query('ROLLBACK')
    payment.release()
    expect(await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
  })
})

test('a payment that commits between the snapshot and the lock wins', async () => {
  const table = await openTable()
  const store = await openStore(table)
  await table.insert([
    { id: '1', deadline: past() },
    { id: '2', deadline: past() },
  ])
  // Holds the statement at its first row, after its snapshot was taken and before order 2 is locked.
  await table.pool.query(`
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE UPDATE ON orders FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION hold()`)
  const holder = await table.pool.connect()
  await holder.query('SELECT pg_advisory_lock(4711)')
  const first = store.cancelUnpaid([
    { orderId: '1', deadline: 0 },
    { orderId: '2', deadline: 0 },
  ])
  await eventually('the statement waits in the trigger', async () => {
    const { rowCount } = await holder.query(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'`)
    return rowCount === 1
  })
  // Depending on the plan, order 2 is locked by now, and the payment waits; or it is not, and the payment comes first.
  const payment = table.pool.query(`UPDATE orders SET status = 'paid' WHERE id = 2 AND status = 'pending'`)
  await holder.query('SELECT pg_advisory_unlock(4711)')
  holder.release()
  const [outcomes, paid] = await Promise.all([first, payment])
  const isPaid = paid.rowCount === 1
  expect(await table.statusOf('2')).toBe(isPaid ? 'paid' : 'cancelled')
  expect(outcomes[1]?.kind === 'cancelled').toBe(!isPaid)
})

describe('ids', () => {
  test('one that the column cannot hold is missing, the other 499 are settled in the same pass', async () => {
    const table = await openTable({ idType: 'bigint' })
    const store = await openStore(table)
    const ids = Array.from({ length: 500 }, (_, i) => (i === 250 ? 'abc' : `${i}`))
    await table.insert(ids.filter((id) => id !== 'abc').map((id) => ({ id, deadline: past() })))
    const outcomes = await store.cancelUnpaid(ids.map((orderId) => ({ orderId, deadline: past() })))
    expect(outcomes[250]).toMatchObject({ kind: 'missing' })
    expect(outcomes.filter(({ kind }) => kind === 'cancelled')).toHaveLength(499)
    const { rows } = await table.pool.query(
      'SELECT count(DISTINCT at)::int AS passes FROM (SELECT cancelled_at AS at FROM orders) o',
    )
    expect(rows).toEqual([{ passes: 1 }])
  })

  test.each([
    ['bigint', ['abc', '9223372036854775808', '1.5', '', '007', '1e3', "1'; drop table orders"]],
    ['integer', ['2147483648', '-2147483649']],
    ['uuid', ['not-a-uuid', '4f0c8e0a-0000-4000-8000-00000000000', '1']],
  ])('a batch of nothing but ids that %s cannot hold is all missing', async (idType, ids) => {
    const table = await openTable({ idType })
    const store = await openStore(table)
    const outcomes = await store.cancelUnpaid(ids.map((orderId) => ({ orderId, deadline: past() })))
    expect(outcomes.map(({ kind }) => kind)).toEqual(ids.map(() => 'missing'))
    expect(await store.find(ids)).toEqual(ids.map(() => undefined))
  })

  test('a uuid is the same in capital letters', async () => {
    const table = await openTable({ idType: 'uuid' })
    const store = await openStore(table)
    const id = '4f0c8e0a-abcd-4000-8000-00000000000f'
    await table.insert([{ id, deadline: past() }])
    expect(await store.find([id.toUpperCase()])).toMatchObject([{ status: 'pending' }])
    expect(await store.cancelUnpaid([{ orderId: id.toUpperCase(), deadline: 0 }])).toMatchObject([
      { kind: 'cancelled' },
    ])
  })
})

describe('deadlines', () => {
  test("without a deadline column, the check's deadline counts, by the database's clock", async () => {
    const table = await openTable({ deadlineType: null })
    const store = await openStore(table)
    await table.insert([{ id: '1' }, { id: '2' }])
    const later = Date.now() + HOUR
    expect(
      await store.cancelUnpaid([
        { orderId: '1', deadline: past() },
        { orderId: '2', deadline: later },
      ]),
    ).toMatchObject([{ kind: 'cancelled' }, { kind: 'postponed', reason: 'not-due', until: later }])
    expect(await store.unpaidDueBefore(later, undefined, 10)).toEqual([])
  })

  test('a row whose deadline is null goes by the check; one that is infinite is never cancelled', async () => {
    const table = await openTable()
    const store = await openStore(table)
    await table.insert([{ id: '1' }, { id: '2' }])
    await table.pool.query(`UPDATE orders SET payment_deadline = 'infinity' WHERE id = 2`)
    expect(
      await store.cancelUnpaid([
        { orderId: '1', deadline: past() },
        { orderId: '2', deadline: past() },
      ]),
    ).toMatchObject([{ kind: 'cancelled' }, { kind: 'kept', status: 'pending' }])
  })

  test('minus infinity cannot be meant, and does not fail the batch', async () => {
    const table = await openTable()
    const store = await openStore(table)
    await table.insert([{ id: '1' }, { id: '2', deadline: past() }, { id: '3', status: 'paid' }])
    await table.pool.query(`UPDATE orders SET payment_deadline = '-infinity' WHERE id IN (1, 3)`)
    expect(await store.cancelUnpaid(['1', '2', '3'].map((orderId) => ({ orderId, deadline: past() })))).toMatchObject([
      { kind: 'rejected', error: { code: 'STORE_REJECTED', message: expect.stringContaining('-infinity') } },
      { kind: 'cancelled' },
      { kind: 'kept', status: 'paid' },
    ])
    expect(await store.find(['1', '3'])).toMatchObject([
      { status: 'pending', setAside: 'unreadable' },
      { status: 'paid' },
    ])
  })

  test('microseconds are rounded up: nothing is due before its deadline', async () => {
    const table = await openTable()
    const store = await openStore(table)
    await table.insert([{ id: '1' }])
    await table.pool.query(`UPDATE orders SET payment_deadline = '2100-01-01T00:00:00.123456Z'`)
    expect(await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])).toMatchObject([
      { kind: 'postponed', until: Date.parse('2100-01-01T00:00:00.124Z') },
    ])
  })
})

describe.each(['timestamptz', 'timestamp'] as const)(
  'deadlines that no calendar of ours holds, as %s,',
  (deadlineType) => {
    const unreadable: [id: string, deadline: string][] = [
      ['1', '-infinity'],
      ['2', '-infinity'],
      ['3', '4714-11-24 00:00:00.000001 BC'],
      ['4', '0044-03-15 12:00:00.123456 BC'],
      ['5', '0044-03-15 12:00:00.123457 BC'],
      ['6', '0001-01-01 00:00:00.000999'],
      ['7', '0001-01-01 00:00:00.000999'],
      ['8', '1969-12-31 23:59:59.999999'],
    ]
    const due: [id: string, deadline: string][] = [['9', '2020-01-01']]
    const later: [id: string, deadline: string][] = [
      ['10', '9999-12-31 23:59:59.999999'],
      ['11', '294276-12-31 23:59:59.999998'],
      ['12', '294276-12-31 23:59:59.999998'],
      ['13', 'infinity'],
    ]

    async function openOdd(cancelSqlOf?: (schema: string) => string) {
      const table = await openTable({ deadlineType })
      await table.insert([...unreadable, ...due, ...later].map(([id]) => ({ id })))
      for (const [id, deadline] of [...unreadable, ...due, ...later])
        await table.pool.query(
          `UPDATE orders SET payment_deadline = '${deadline}'${deadlineType === 'timestamptz' ? `::timestamp AT TIME ZONE 'UTC'` : ''} WHERE id = ${id}`,
        )
      return { table, store: await openStore(table, { settings: { cancelSql: cancelSqlOf?.(table.schema) } }) }
    }

    test.each([1, 2, 100])(
      'are gone through page by page of %i, each once, but never what is infinite or cannot be meant',
      async (limit) => {
        const { table, store } = await openOdd()
        const seen: string[] = []
        let after: DueOrder | undefined
        do {
          const page = await store.unpaidDueBefore(9e15, after, limit)
          seen.push(...page.map(({ orderId }) => orderId))
          after = page.at(-1)
          if (seen.length > 50) throw new Error(`in a circle: ${seen}`)
        } while (after)
        expect(seen).toEqual(['9', '10'])
        await table.pool.query(`UPDATE orders SET status = 'paid' WHERE id = 1`)
        const behind = await store.unpaidDueBefore(9e15, { orderId: '1', deadline: Number.NEGATIVE_INFINITY }, 2)
        expect(behind.map(({ orderId }) => orderId)).toEqual(['9', '10'])
      },
    )

    const shopSqlOf = (
      schema: string,
    ) => `UPDATE ${schema}.orders SET status = 'cancelled' WHERE id::text = ANY ($1::text[]) AND status = 'pending'
    AND payment_deadline <= now() AND $2::timestamptz[] IS NOT NULL RETURNING id, 'cancelled' AS outcome, NULL::timestamptz AS until`

    test.each<[string, boolean]>([
      ['our statement', false],
      ['the statement of the shop', true],
    ])('are cancelled by a sweep where they have passed, with %s', async (_, usesShopSql) => {
      const { table, store } = await openOdd(usesShopSql ? shopSqlOf : undefined)
      const result = await sweep({
        store,
        settle: createSettle({ store, clock: systemClock }),
        addChecks: async () => 0,
        aheadMs: HOUR,
        pageSize: 2,
        clock: systemClock,
        signal: new AbortController().signal,
      })
      expect(result).toEqual({
        overdue: due.length,
        outcomes: { cancelled: due.length },
        left: { orders: 0 },
        upcoming: 0,
        added: 0,
      })
      const { rows } = await table.pool.query(`SELECT id::text FROM orders o WHERE status = 'pending' ORDER BY o.id`)
      expect(rows.map(({ id }) => id)).toEqual([...unreadable, ...later].map(([id]) => id))
      expect((await table.outbox()).map(({ order_id }) => order_id)).toEqual(due.map(([id]) => id))
      expect(await store.setAside()).toMatchObject({
        backlog: { orders: 0 },
        unreadable: { orders: unreadable.length },
      })
    })

    test.each<[string, boolean]>([
      ['our statement', false],
      ['the statement of the shop', true],
    ])('are rejected where they cannot be meant, with %s', async (_, usesShopSql) => {
      const { table, store } = await openOdd(usesShopSql ? shopSqlOf : undefined)
      const checks = [...unreadable, ...due].map(([orderId]) => ({ orderId, deadline: 0 }))
      const outcomes = await store.cancelUnpaid(checks)
      expect(outcomes.map(({ kind }) => kind)).toEqual([...unreadable.map(() => 'rejected'), 'cancelled'])
      expect(outcomes[0]).toMatchObject({ error: { code: 'STORE_REJECTED', message: expect.stringContaining('2001') } })
      expect(await table.outbox()).toHaveLength(1)
    })

    test('are judged by a dry run', async () => {
      const { store } = await openOdd()
      const checks = [...unreadable, ...due].map(([orderId]) => ({ orderId, deadline: 0 }))
      const outcomes = await store.cancelUnpaid(checks, { dryRun: true })
      expect(outcomes.map(({ kind }) => kind)).toEqual([
        ...unreadable.map(() => 'rejected'),
        ...due.map(() => 'cancelled'),
      ])
      expect(await store.cancelUnpaid([{ orderId: '13', deadline: Number.POSITIVE_INFINITY }])).toMatchObject([
        { kind: 'kept' },
      ])
    })
  },
)

test('a deadline that is moved between the snapshot and the lock counts', async () => {
  const table = await openTable()
  const store = await openStore(table)
  const ids = Array.from({ length: 300 }, (_, i) => `${i + 1}`)
  for (let round = 0; round < 10; round++) {
    await table.pool.query('TRUNCATE orders, audit')
    await table.insert(ids.map((id) => ({ id, deadline: past() })))
    const moves = ids.map((id) =>
      table.pool.query(
        `UPDATE orders SET payment_deadline = now() + interval '1 hour' WHERE id = $1 AND status = 'pending'`,
        [id],
      ),
    )
    await Promise.all([store.cancelUnpaid(ids.map((orderId) => ({ orderId, deadline: 0 }))), ...moves])
    const { rows } = await table.pool.query(
      `SELECT id FROM orders WHERE status = 'cancelled' AND payment_deadline > now()`,
    )
    expect(rows).toEqual([])
  }
})

test.each(['UTC', 'America/New_York', 'Asia/Kolkata'])(
  'where cancelled-at has no time zone, it is written in %s',
  async (zone) => {
    const table = await openTable()
    await table.pool.query('ALTER TABLE orders ALTER cancelled_at TYPE timestamp')
    const store = await openStore(table, { settings: { ORDERS_TIME_ZONE: zone } })
    await table.insert([{ id: '1', deadline: past() }])
    await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])
    const { rows } = await table.pool.query(
      `SELECT abs(extract(epoch FROM cancelled_at - now() AT TIME ZONE '${zone}'))::float8 AS off FROM orders`,
    )
    expect(rows[0].off).toBeLessThan(60)
  },
)

describe('what counts as unpaid', () => {
  test.each(['timestamptz', 'date'])('a %s of payment keeps an order whose status is pending', async (type) => {
    const table = await openTable()
    await table.pool.query(`ALTER TABLE orders ALTER COLUMN paid_at TYPE ${type}`)
    const store = await openStore(table)
    await table.insert([{ id: '1', deadline: past(), paidAt: past() }])
    expect(await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])).toMatchObject([
      { kind: 'kept', status: 'pending', evidence: { paid: true } },
    ])
    expect(await store.find(['1'])).toMatchObject([{ status: 'pending', isUnpaid: false }])
  })

  test('any status that is not in the allow-list is kept', async () => {
    const table = await openTable()
    const store = await openStore(table)
    const statuses = ['shipped', 'refunded', 'PENDING', 'pending ', '', 'awaiting']
    await table.insert(statuses.map((status, i) => ({ id: `${i}`, status, deadline: past() })))
    const outcomes = await store.cancelUnpaid(statuses.map((_, i) => ({ orderId: `${i}`, deadline: 0 })))
    expect(outcomes).toMatchObject(statuses.map((status) => ({ kind: 'kept', status })))
    const found = await store.find(statuses.map((_, i) => `${i}`))
    expect(found.map((order) => order?.isUnpaid)).toEqual(statuses.map(() => false))
  })
})

test('one order that a trigger or constraint rejects does not hold up the others', async () => {
  const table = await openTable()
  const store = await openStore(table)
  await table.insert(Array.from({ length: 100 }, (_, i) => ({ id: `${i}`, deadline: past() })))
  await table.pool.query(`ALTER TABLE orders ADD CHECK (id <> 66 OR status <> 'cancelled')`)
  const settle = createSettle({ store, clock: systemClock })
  const settlements = await settle(Array.from({ length: 100 }, (_, i) => ({ orderId: `${i}`, deadline: past() })))
  expect(settlements.filter(({ kind }) => kind === 'cancelled')).toHaveLength(99)
  expect(settlements[66]).toMatchObject({ kind: 'failed', error: { code: 'STORE_REJECTED', retryable: false } })
  expect(await table.outbox()).toHaveLength(99)
})

test('one order whose trigger waits for a lock does not hold up the others', async () => {
  const table = await openTable()
  const store = await openStore(table)
  await table.insert(Array.from({ length: 64 }, (_, i) => ({ id: `${i}`, deadline: past() })))
  await table.pool.query(`
    CREATE TABLE stock (id int PRIMARY KEY); INSERT INTO stock VALUES (1);
    CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.id = 40 THEN PERFORM FROM ${table.schema}.stock FOR UPDATE; END IF; RETURN NEW; END $$;
    CREATE TRIGGER take BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION take()`)
  const holder = await table.pool.connect()
  await holder.query('BEGIN; SELECT FROM stock FOR UPDATE')
  const settle = createSettle({ store, clock: systemClock })
  const settlements = await settle(Array.from({ length: 64 }, (_, i) => ({ orderId: `${i}`, deadline: past() })))
  await holder.query('ROLLBACK')
  holder.release()
  expect(settlements[40]).toMatchObject({ kind: 'failed', error: { code: 'STORE_LOCKED', retryable: true } })
  expect(settlements.filter(({ kind }) => kind === 'cancelled')).toHaveLength(63)
})

describe('what is written', () => {
  /** What PostgreSQL has counted of a table; it counts when connections end. */
  async function countsOf(
    table: OrdersTable,
    name: string,
  ): Promise<{ inserted: number; updated: number; hot: number }> {
    const { rows } = await table.pool.query(
      `SELECT n_tup_ins::int AS inserted, n_tup_upd::int AS updated, n_tup_hot_upd::int AS hot
       FROM pg_stat_user_tables WHERE relid = $1::regclass`,
      [`${table.schema}.${name}`],
    )
    return rows[0]
  }

  test('is the row of an order that is cancelled, and its event: all others are not even locked', async () => {
    const table = await openTable()
    const store = await openStore(table)
    const kinds = ['due', 'paid', 'marked', 'later', 'never', 'gone', 'locked']
    const orders = Array.from({ length: 140 }, (_, n) => ({ id: `${n}`, kind: kinds[n % kinds.length] as string }))
    await table.insert(
      orders.map(({ id, kind }) => ({
        id,
        status: { paid: 'paid', gone: 'cancelled' }[kind] ?? 'pending',
        deadline: past() + (kind === 'later' ? HOUR : 0),
        ...(kind === 'marked' && { paidAt: past() }),
      })),
    )
    await table.pool.query(`UPDATE orders SET payment_deadline = 'infinity' WHERE id % 7 = 4`)
    const payment = await table.pool.connect()
    await payment.query('BEGIN')
    await payment.query('SELECT FROM orders WHERE id % 7 = 6 FOR UPDATE')
    const versions = async () =>
      new Map<string, string>(
        (await table.pool.query('SELECT id, ctid, xmin, xmax FROM orders')).rows.map(({ id, ...version }) => [
          id,
          JSON.stringify(version),
        ]),
      )
    const before = await versions()
    const checks = [...orders, { id: '999', kind: '' }].map(({ id }) => ({ orderId: id, deadline: past() }))
    await store.cancelUnpaid(checks, { dryRun: true })
    expect(await versions()).toEqual(before)

    const outcomes = await store.cancelUnpaid(checks)
    const after = await versions()
    await payment.query('ROLLBACK')
    payment.release()
    const due = orders.filter(({ kind }) => kind === 'due').map(({ id }) => id)
    expect(checks.filter((_, n) => outcomes[n]?.kind === 'cancelled').map(({ orderId }) => orderId)).toEqual(due)
    expect(orders.filter(({ id }) => before.get(id) !== after.get(id)).map(({ id }) => id)).toEqual(due)
    expect(await table.outbox()).toHaveLength(due.length)
  })

  test.each([
    ['no index', 100, ''],
    ['the index of the sweep', 0, `CREATE INDEX ON orders (payment_deadline, id) WHERE status IN ('pending')`],
  ])(
    'with %s on the status, and room in the pages, leaves the indexes alone for %i of 100 orders',
    async (_, hot, index) => {
      const table = await openTable()
      await table.pool.query(`ALTER TABLE orders SET (fillfactor = 50); ${index}`)
      await table.insert(Array.from({ length: 200 }, (_, n) => ({ id: `${n}`, deadline: past() })))
      const store = await openStore(table)
      await store.cancelUnpaid(Array.from({ length: 100 }, (_, n) => ({ orderId: `${2 * n}`, deadline: past() })))
      await store.close()
      await eventually('it is counted', async () => (await countsOf(table, 'orders')).updated > 0)
      expect(await countsOf(table, 'orders')).toMatchObject({ updated: 100, hot })
      expect(await countsOf(table, 'order_expiry_outbox')).toMatchObject({ inserted: 100, updated: 0 })
    },
  )
})

describe('the outbox', () => {
  test('that nobody reads is neither counted nor looked through without end', async () => {
    const table = await openTable()
    const store = await openStore(table)
    await table.insert([{ id: '1', deadline: past() }])
    await store.cancelUnpaid([{ orderId: '1', deadline: past() }])
    expect(await store.outbox()).toMatchObject({ events: 1 })
    expect(await store.eventsOf('1')).toHaveLength(1)
    await table.pool.query(`INSERT INTO order_expiry_outbox (type, order_id, data)
      SELECT 'order.cancelled', n::text, '{}' FROM generate_series(2, 10001) n`)
    expect(await store.outbox()).toMatchObject({ events: 10_000 })
    expect(await store.eventsOf('10001')).toHaveLength(1)
    expect(await store.eventsOf('1')).toBeUndefined()
  })

  test('that is empty has nothing in it', async () => {
    const store = await openStore(await openTable())
    expect(await store.outbox()).toEqual({ events: 0, oldestAgeMs: undefined })
    expect(await store.eventsOf('1')).toEqual([])
  })
})

describe('opening', () => {
  test('says so if the outbox is missing', async () => {
    const table = await OrdersTable.create()
    opened.push({ table })
    await expect(openStore(table)).rejects.toMatchObject({
      code: 'OUTBOX_MISSING',
      message: expect.stringContaining('migrate'),
    })
  })

  test('lists all that does not fit the table, and does not connect to a table that is not there', async () => {
    const table = await openTable({ statusType: 'enum' })
    const settings = {
      ORDERS_ID_COLUMN: 'payment_deadline',
      ORDERS_DEADLINE_COLUMN: 'due',
      ORDERS_UNPAID_STATUSES: ['pendng'],
    }
    await expect(openStore(table, { settings })).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringMatching(
        /ORDERS_ID_COLUMN[\s\S]*ORDERS_DEADLINE_COLUMN.*no column due[\s\S]*ORDERS_UNPAID_STATUSES.*pendng/,
      ),
    })
    const gone = { ORDERS_TABLE: 'nowhere.orders' }
    await expect(openStore(table, { settings: gone })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  })

  test('an id column on which two rows can agree is refused', async () => {
    const table = await openTable()
    await table.pool.query(
      'ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD COLUMN tenant int DEFAULT 1, ADD PRIMARY KEY (tenant, id)',
    )
    await expect(openStore(table)).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining('unique index on id alone'),
    })
    await table.pool.query('CREATE UNIQUE INDEX ON orders (id)')
    await expect(openStore(table)).resolves.toBeDefined()
  })

  test('where two rows share an id all the same, as in a partitioned table, a paid one is not cancelled', async () => {
    const table = await openTable()
    const store = await openStore(table)
    await table.pool.query('ALTER TABLE orders DROP CONSTRAINT orders_pkey')
    await table.insert([
      { id: '1', deadline: past() },
      { id: '1', deadline: past(), status: 'paid' },
    ])
    await store.cancelUnpaid([{ orderId: '1', deadline: past() }]).catch(() => {})
    expect(
      (await table.pool.query('SELECT status FROM orders ORDER BY status')).rows.filter(
        ({ status }) => status === 'paid',
      ),
    ).toHaveLength(1)
  })

  test.each(['numeric', 'date'])('a status column of type %s is refused', async (type) => {
    const table = await openTable()
    await table.pool.query(
      `DROP TRIGGER audit ON orders; ALTER TABLE orders ALTER status TYPE ${type} USING NULL, ALTER status DROP NOT NULL`,
    )
    await expect(openStore(table)).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining('ORDERS_STATUS_COLUMN'),
    })
  })

  test('a paid-at column that is no time is refused', async () => {
    const table = await openTable()
    await table.pool.query('ALTER TABLE orders ALTER paid_at TYPE boolean USING false')
    await expect(openStore(table)).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining('ORDERS_PAID_AT_COLUMN'),
    })
  })

  test('migrations at the same moment do not disturb each other', async () => {
    const table = await OrdersTable.create()
    opened.push({ table })
    await Promise.all(Array.from({ length: 8 }, () => table.migrate()))
    expect(await table.outbox()).toEqual([])
  })

  test('a statement may take 10 s, and wait 0.2 s for a lock', async () => {
    const table = await openTable()
    await table.pool.query(`CREATE TABLE seen_settings (statement text, lock text)`)
    const store = await openStore(table, {
      settings: {
        cancelSql: `WITH s AS (INSERT INTO ${table.schema}.seen_settings VALUES (current_setting('statement_timeout'), current_setting('lock_timeout')))
        SELECT NULL::text AS id, 'kept' AS outcome, NULL::timestamptz AS until WHERE false AND $1::text[] IS NOT NULL AND $2::timestamptz[] IS NOT NULL`,
      },
    })
    await store.cancelUnpaid([{ orderId: '1', deadline: past() }])
    expect((await table.pool.query('SELECT DISTINCT * FROM seen_settings')).rows).toEqual([
      { statement: '10s', lock: '200ms' },
    ])
  })

  test('one column cannot mean two things', async () => {
    const table = await openTable()
    const settings = { ORDERS_CANCELLED_AT_COLUMN: 'payment_deadline' }
    await expect(openStore(table, { settings })).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining('payment_deadline is ORDERS_DEADLINE_COLUMN already'),
    })
  })

  test('tells a wrong password and a missing database from a server that is away', async () => {
    const table = await openTable()
    const url = new URL(table.settings.DATABASE_URL as string)
    url.pathname = '/no_such_database'
    await expect(openStore(table, { settings: { DATABASE_URL: url.href } })).rejects.toMatchObject({
      code: 'STORE_REFUSED',
      retryable: false,
    })
    url.port = '1'
    await expect(openStore(table, { settings: { DATABASE_URL: url.href } })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
    })
  })

  test('names that need quotes work', async () => {
    const table = await openTable()
    await table.pool.query('DROP TRIGGER audit ON orders')
    await table.pool.query(`ALTER TABLE orders RENAME TO "Or""ders; x"`)
    await table.pool.query(`ALTER TABLE "Or""ders; x" RENAME COLUMN id TO "Order ID"`)
    const settings = { ORDERS_TABLE: `${table.schema}."Or""ders; x"`, ORDERS_ID_COLUMN: 'Order ID' }
    await expect(openStore(table, { settings })).rejects.toMatchObject({ code: 'OUTBOX_MISSING' })
    await migratePostgres(table.storeOptions({ settings }), { dryRun: false })
    const store = await openStore(table, { settings })
    await table.pool.query(`INSERT INTO "Or""ders; x" VALUES (1, 'pending', now() - interval '1 s')`)
    expect(await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
  })
})

describe("the shop's own statement", () => {
  let table: OrdersTable
  let store: PostgresStore

  async function openShop(statement: string): Promise<void> {
    table = await openTable()
    const search = `${table.settings.DATABASE_URL}?options=${encodeURIComponent(`-c search_path=${table.schema}`)}`
    const settings = { ORDERS_CANCELLED_AT_COLUMN: undefined }
    store = await openStore(table, { settings: { ...settings, DATABASE_URL: search, cancelSql: statement } })
  }

  const place = (ids: readonly number[]) => table.insert(ids.map((id) => ({ id: `${id}`, deadline: past() })))
  const check = (...ids: (number | string)[]) =>
    store.cancelUnpaid(ids.map((id) => ({ orderId: `${id}`, deadline: past() })))

  test('announces an order by the id that the table has, however the check writes it', async () => {
    const uuid = await openTable({ idType: 'uuid' })
    const shop = await openStore(uuid, {
      settings: {
        cancelSql: `UPDATE ${uuid.schema}.orders SET status = 'cancelled' WHERE id = ANY ($1::uuid[]) AND $2::timestamptz[] IS NOT NULL
        RETURNING id, 'cancelled' AS outcome, NULL::timestamptz AS until`,
      },
    })
    const id = 'abcdefab-0000-4000-8000-000000000002'
    await uuid.insert([{ id, deadline: past() }])
    await shop.cancelUnpaid([{ orderId: id.toUpperCase(), deadline: past() }])
    expect((await uuid.outbox()).map(({ order_id }) => order_id)).toEqual([id])
    expect(await shop.eventsOf(id.toUpperCase())).toHaveLength(1)
  })

  test('may return only what it cancels: the rest is judged by the table, and nothing is lost', async () => {
    await openShop(`
      UPDATE orders SET status = 'cancelled'
      WHERE id IN (SELECT id FROM orders WHERE id::text = ANY ($1::text[]) AND status = 'pending' AND payment_deadline <= now()
                   ORDER BY id FOR UPDATE SKIP LOCKED) AND $2::timestamptz[] IS NOT NULL
      RETURNING id, 'cancelled' AS outcome, NULL::timestamptz AS until`)
    await table.insert([
      { id: '1', deadline: past() },
      { id: '2', deadline: past(), status: 'paid' },
      { id: '3', deadline: Date.now() + HOUR },
      { id: '4', deadline: past() },
    ])
    const payment = await table.pool.connect()
    await payment.query(`BEGIN; UPDATE orders SET status = 'paid' WHERE id = 4`)
    expect(await check(1, 2, 3, 4, 5)).toMatchObject([
      { kind: 'cancelled', evidence: { status: 'pending' } },
      { kind: 'kept', status: 'paid' },
      { kind: 'postponed', reason: 'not-due' },
      { kind: 'postponed', reason: 'locked' },
      { kind: 'missing' },
    ])
    await payment.query('ROLLBACK')
    payment.release()
    const { rows } = await table.pool.query('SELECT payment_deadline FROM orders WHERE id = 1')
    const announced = Date.parse((await table.outbox())[0]?.data.deadline as string)
    expect(announced).toBeGreaterThanOrEqual(rows[0].payment_deadline.getTime())
    expect(announced).toBeLessThanOrEqual(rows[0].payment_deadline.getTime() + 1)
  })

  test('an order of which it says nonsense fails alone', async () => {
    await openShop(`
      WITH done AS (UPDATE orders SET status = 'cancelled' WHERE id::text = ANY ($1::text[]) AND $2::timestamptz[] IS NOT NULL RETURNING id)
      SELECT id, CASE WHEN id = 2 THEN NULL ELSE 'cancelled' END AS outcome, NULL::timestamptz AS until FROM done`)
    await place([1, 2, 3])
    const settlements = await createSettle({ store, clock: systemClock })(
      [1, 2, 3].map((id) => ({ orderId: `${id}`, deadline: past() })),
    )
    expect(settlements).toMatchObject([
      { kind: 'cancelled' },
      { kind: 'failed', error: { code: 'STORE_REJECTED' } },
      { kind: 'cancelled' },
    ])
    expect(await table.statusOf('2')).toBe('pending')
  })

  test('an order postponed for ever is kept', async () => {
    await openShop(
      `SELECT id, 'postponed' AS outcome, 'infinity'::timestamptz AS until FROM orders WHERE id::text = ANY ($1::text[]) AND $2::timestamptz[] IS NOT NULL`,
    )
    await place([1])
    expect(await check(1)).toMatchObject([{ kind: 'kept', status: 'pending' }])
  })

  test('is refused at start if its columns or its syntax are wrong', async () => {
    await expect(
      openShop('SELECT 1 AS id WHERE $1::text[] IS NOT NULL AND $2::timestamptz[] IS NOT NULL'),
    ).rejects.toMatchObject({
      code: 'STORE_MISMATCH',
      message: expect.stringContaining('outcome and until'),
    })
    await expect(
      openShop(`SELECT 1 AS id, 'kept' AS outcome, now() AS until WHERE $1::text[] IS NOT NULL`),
    ).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
    await expect(openShop('SELEKT $1, $2')).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  })

  test('an outcome that it invents changes nothing', async () => {
    await openShop(`
      WITH done AS (UPDATE orders SET status = 'cancelled' WHERE id::text = ANY ($1::text[]) RETURNING id)
      SELECT id, 'expired' AS outcome, NULL::timestamptz AS until FROM done WHERE $2::timestamptz[] IS NOT NULL`)
    await place([1])
    await expect(check(1)).rejects.toMatchObject({
      code: 'STORE_REJECTED',
      message: expect.stringContaining('expired'),
    })
    expect(await table.statusOf('1')).toBe('pending')
  })
})

test('many who ask whether it works, or after single orders, do not hold up a cancellation', async () => {
  const table = await openTable()
  const store = await openStore(table)
  const deadline = past()
  await table.insert([{ id: '1', deadline }])
  let asking = 400
  const asked = Array.from({ length: asking / 2 }, () => [store.ping(), store.find(['1'])])
  const answers = asked.flat().map((answer) => answer.finally(() => asking--))
  expect(await store.newestPayment()).toBeUndefined() // as the brake asks before it lets a batch through
  const [outcome] = await store.cancelUnpaid([{ orderId: '1', deadline }])
  expect(outcome?.kind).toBe('cancelled')
  expect(asking).toBeGreaterThan(200)
  await Promise.all(answers)
})
