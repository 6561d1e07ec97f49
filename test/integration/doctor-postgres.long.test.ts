import { createServer, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Client } from 'pg'
import type { Finding, FindingCode } from '../../src/doctor/finding.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { sweepIndex } from '../../src/stores/postgres/indexes.ts'
import { readColumns } from '../../src/stores/postgres/inspection.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import type { PostgresSettings } from '../../src/stores/postgres/settings.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { diagnosePostgres } from '../helpers/diagnose-postgres.ts'
import { databaseUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { complaints, fixesOf, ofCode } from '../helpers/findings.ts'
import { OrdersTable, type StoreOverrides, type TableOptions } from '../helpers/orders-table.ts'
import { postgresSettings } from '../helpers/postgres-settings.ts'
import { freePort, type Server, startPostgres } from '../helpers/processes.ts'

const inAnHour = () => Date.now() + 3_600_000
const tables: OrdersTable[] = []

afterEach(async () => {
  for (const table of tables.splice(0)) await table.drop()
})

async function create(options: TableOptions = {}): Promise<OrdersTable> {
  const table = await OrdersTable.create(options)
  tables.push(table)
  return table
}

/** A table of which there is nothing to complain. */
async function createSound(options: TableOptions = {}): Promise<OrdersTable> {
  const table = await create(options)
  await table.migrate()
  await table.pool.query(
    `CREATE INDEX ON orders (payment_deadline, id); ${
      options.paidAt === false
        ? ''
        : `CREATE INDEX ON orders (paid_at);
           CREATE INDEX ON orders (paid_at, id) WHERE status = 'cancelled' AND paid_at IS NOT NULL`
    }`,
  )
  const id = (n: number) => (options.idType === 'uuid' ? `00000000-0000-0000-0000-00000000000${n}` : `${n}`)
  await table.insert([
    { id: id(1), deadline: inAnHour() },
    { id: id(2), status: 'paid', deadline: inAnHour(), ...(options.paidAt !== false && { paidAt: Date.now() }) },
  ])
  return table
}

interface Overrides extends StoreOverrides {
  clock?: Clock
  watchesPayments?: boolean
}

function diagnose(table: OrdersTable, overrides: Overrides = {}): Promise<Finding[]> {
  const { clock = systemClock, watchesPayments = true, ...options } = overrides
  return diagnosePostgres(table.storeOptions({ ...options, watchesPayments }), clock)
}

/** Does what the finding says, as a superuser. */
async function mend(table: OrdersTable, findings: Finding[], code: FindingCode): Promise<void> {
  const fixes = fixesOf(findings, code)
  expect(fixes).not.toEqual([])
  for (const fix of fixes) {
    if (fix === 'order-expiry migrate') await table.migrate()
    else await table.pool.query(fix)
  }
}

/** The name of the index that the last statement creates. */
function nameIn(fixes: string[]): string {
  return /^CREATE INDEX CONCURRENTLY (\w+) ON /.exec(fixes.at(-1) ?? '')?.[1] ?? ''
}

/** What is told when the store is opened. */
async function noticesOf(table: OrdersTable, overrides: Overrides): Promise<string[]> {
  const notices: string[] = []
  const onNotice = (notice: string) => void notices.push(notice)
  await (await PostgresStore.open(table.storeOptions({ ...overrides, onNotice }))).close()
  return notices
}

test.each<TableOptions>([
  {},
  { statusType: 'enum', idType: 'uuid' },
  { statusType: 'varchar(20)', idType: 'text', deadlineType: 'timestamp', paidAt: false },
])('a sound table is in order: %j', async (options) => {
  const table = await createSound(options)
  const findings = await diagnose(table)
  expect(complaints(findings)).toEqual([])
  const levels = Object.fromEntries(findings.map(({ code, level }) => [code, level]))
  expect(levels).toMatchObject({
    'store-reachable': 'ok',
    'store-version': 'ok',
    'store-writable': 'ok',
    'store-table': 'ok',
    'store-permissions': 'ok',
    'store-outbox': 'ok',
    'store-statuses': 'ok',
    'store-deadlines': 'ok',
    'store-index': 'ok',
    'store-overdue': 'ok',
    'store-clock': 'ok',
    'store-connections': 'ok',
  })
  expect(ofCode(findings, 'store-triggers')).toEqual([
    ['info', `runs when an order is cancelled: trigger audit on ${table.schema}.orders`],
  ])
  expect(findings.filter(({ subject }) => subject !== 'store')).toEqual([])
})

describe('the outbox', () => {
  test('that is missing is an error, until migrate has run', async () => {
    const table = await create()
    const findings = await diagnose(table)
    expect(ofCode(findings, 'store-outbox')).toEqual([
      ['error', `there is no table "${table.schema}"."order_expiry_outbox"`],
    ])
    await mend(table, findings, 'store-outbox')
    const after = await diagnose(table)
    expect(ofCode(after, 'store-outbox')[0]?.[0]).toBe('ok')
    expect(ofCode(after, 'store-backlog')).toEqual([['info', '0 events in the outbox; nothing deletes them yet']])
  })

  test('with other columns is an error', async () => {
    const table = await create()
    await table.pool.query('CREATE TABLE order_expiry_outbox (id bigint, data jsonb)')
    const findings = await diagnose(table)
    expect(ofCode(findings, 'store-outbox')[0]?.[1]).toContain('has no event_id, type, order_id, created_at')
    expect(fixesOf(findings, 'store-outbox')).toEqual(['OUTBOX_TABLE=order_expiry_events', 'order-expiry migrate'])
    const another = { settings: { OUTBOX_TABLE: 'order_expiry_events' } }
    await migratePostgres(table.storeOptions(another), { dryRun: false })
    expect(ofCode(await diagnose(table, another), 'store-outbox')[0]?.[0]).toBe('ok')
  })
})

describe('payments that come after a cancellation', () => {
  test('need an index of their own, once a table has a time of payment', async () => {
    const table = await create()
    await table.migrate()
    await table.pool.query('CREATE INDEX ON orders (paid_at)')
    const findings = await diagnose(table)
    expect(ofCode(findings, 'store-late-index')).toEqual([
      ['warning', 'there is no index for payments that come after a cancellation (on "paid_at", for cancelled orders)'],
    ])
    await mend(table, findings, 'store-late-index')
    expect(ofCode(await diagnose(table), 'store-late-index')[0]?.[0]).toBe('ok')
    const without = await create({ paidAt: false })
    await without.migrate()
    const codes = (await diagnose(without, { watchesPayments: false })).map(({ code }) => code)
    expect(codes).not.toContain('store-late-index')
    expect(codes).not.toContain('store-late-payments')
  })

  test('need a record of what was told of, and a role that may write it', async () => {
    const table = await createSound()
    await table.pool.query('DROP TABLE order_expiry_late_payments')
    const findings = await diagnose(table)
    expect(ofCode(findings, 'store-outbox')[0]?.[0]).toBe('ok')
    expect(ofCode(findings, 'store-late-payments')[0]?.[0]).toBe('warning')
    await mend(table, findings, 'store-late-payments')
    expect(ofCode(await diagnose(table), 'store-late-payments')[0]?.[0]).toBe('ok')
  })

  test('can have their orders opened again by a statement that can be planned', async () => {
    const table = await createSound()
    const reopening = (reopenSql: string) => diagnose(table, { settings: { reopenSql } })
    const good = `UPDATE ${table.schema}.orders SET status = 'paid' WHERE id::text = ANY ($1::text[]) RETURNING id`
    expect(complaints(await reopening(good))).toEqual([])
    const [, refused] = ofCode(await reopening('SELECT id FROM nowhere WHERE id = ANY ($1)'), 'store-late-payments')
    expect(refused).toEqual(['error', expect.stringMatching(/REOPEN_SQL_FILE.*nowhere/)])
  })
})

describe('an index for the sweeper', () => {
  test.each<[string, TableOptions, string[]]>([
    ['text', {}, ['pending']],
    ['an enum', { statusType: 'enum' }, ['pending', 'shipped']],
    ['no paid-at column', { paidAt: false, deadlineType: 'timestamp' }, [`it's`, 'back\\slash']],
  ])('that is missing is a warning; its statement makes one that the query goes by: %s', async (_, options, unpaid) => {
    const table = await create(options)
    const overrides = { settings: { ORDERS_UNPAID_STATUSES: unpaid } }
    const findings = await diagnose(table, overrides)
    expect(ofCode(findings, 'store-index')[0]?.[0]).toBe('warning')
    await mend(table, findings, 'store-index')
    expect(ofCode(await diagnose(table, overrides), 'store-index')[0]?.[0]).toBe('ok')

    const columns = await readColumns(table.pool, { settings: { ...table.settings, ...overrides.settings } })
    const { name, on } = sweepIndex(columns)
    expect(fixesOf(findings, 'store-index')).toEqual([`CREATE INDEX CONCURRENTLY ${name} ON ${on};`])
    const { buildStatements } = await import('../../src/stores/postgres/statements.ts')
    const client = await table.pool.connect()
    await client.query('SET enable_seqscan = off')
    const plan = await client.query(`EXPLAIN ${buildStatements(columns).unpaidDueBefore}`, [
      Date.now(),
      null,
      null,
      100,
    ])
    client.release(true)
    const text = plan.rows.map((row) => row['QUERY PLAN']).join('\n')
    expect(text).toContain(name)
    expect(text).not.toContain('Seq Scan')
  })

  test.each([
    ['ON orders (payment_deadline)', 'ok'],
    ['ON orders (payment_deadline DESC, status)', 'ok'],
    [`ON orders (payment_deadline) WHERE status = 'pending'`, 'ok'],
    [`ON orders (payment_deadline) WHERE status IN ('pending', 'new') AND paid_at IS NULL`, 'ok'],
    ['ON orders (status, payment_deadline)', 'ok'],
    [`ON orders (status, payment_deadline) WHERE status <> 'paid'`, 'ok'],
    [`ON orders (payment_deadline) WHERE status <> 'paid'`, 'ok'],
    [`ON orders (payment_deadline) WHERE payment_deadline IS NOT NULL`, 'ok'],
    [`ON orders (payment_deadline) WHERE status NOT IN ('pending')`, 'warning'],
    [`ON orders (status, payment_deadline) WHERE status NOT IN ('pending')`, 'warning'],
    [`ON orders (payment_deadline) WHERE lower(status) = 'pending'`, 'warning'],
    [`ON orders (payment_deadline) WHERE status = 'pending' AND payment_deadline > '2020-01-01'`, 'warning'],
    ['ON orders (status, id, payment_deadline)', 'warning'],
    ['ON orders USING brin (payment_deadline)', 'warning'],
    [`ON orders (payment_deadline) WHERE status = 'paid'`, 'warning'],
    [`ON orders (payment_deadline) WHERE status = 'pending' AND note IS NULL`, 'warning'],
    [`ON orders (payment_deadline) WHERE note IS NULL`, 'warning'],
    [`ON orders ((payment_deadline AT TIME ZONE 'UTC'))`, 'warning'],
  ])('CREATE INDEX %s: %s', async (index, level) => {
    const table = await create()
    await table.pool.query(`CREATE INDEX ${index}`)
    expect(ofCode(await diagnose(table), 'store-index')[0]?.[0]).toBe(level)
  })

  test('that was left invalid is replaced', async () => {
    const table = await create()
    const name = nameIn(fixesOf(await diagnose(table), 'store-index'))
    await table.pool.query(`CREATE INDEX ${name} ON orders (payment_deadline);
      UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${name}'::regclass`)
    const findings = await diagnose(table)
    expect(fixesOf(findings, 'store-index')).toHaveLength(2)
    expect(fixesOf(findings, 'store-paid-index')).toHaveLength(1)
    await mend(table, findings, 'store-index')
    await mend(table, findings, 'store-paid-index')
    expect(ofCode(await diagnose(table), 'store-index')[0]?.[0]).toBe('ok')
  })

  test('of the time of payment that was left invalid is replaced, and only that', async () => {
    const table = await create()
    const name = nameIn(fixesOf(await diagnose(table), 'store-paid-index'))
    await table.pool.query(`CREATE INDEX ${name} ON orders (paid_at);
      UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${name}'::regclass`)
    const findings = await diagnose(table)
    expect(fixesOf(findings, 'store-index')).toHaveLength(1)
    expect(fixesOf(findings, 'store-paid-index')).toHaveLength(2)
    await mend(table, findings, 'store-index')
    await mend(table, findings, 'store-paid-index')
    expect(complaints(await diagnose(table))).toEqual(['store-outbox', 'store-late-index'])
  })

  test('can be made again when the unpaid statuses change, and for a second table of the schema', async () => {
    const table = await create()
    await table.pool.query('CREATE TABLE more (LIKE orders INCLUDING INDEXES)')
    for (const settings of [
      {},
      { ORDERS_UNPAID_STATUSES: ['pending', 'new'] },
      { ORDERS_TABLE: `${table.schema}.more` },
    ]) {
      const overrides = { settings }
      const findings = await diagnose(table, overrides)
      await mend(table, findings, 'store-index')
      for (const fix of fixesOf(findings, 'store-paid-index')) await table.pool.query(fix)
      const after = await diagnose(table, overrides)
      expect([...ofCode(after, 'store-index'), ...ofCode(after, 'store-paid-index')].map(([level]) => level)).toEqual([
        'ok',
        'ok',
      ])
    }
  })

  test.each<[string, string[]]>([
    ['ON big (due)', ['warning', 'CREATE']],
    ['ON big (due) WHERE due IS NOT NULL', ['warning', 'CREATE']],
    [`ON big (due) WHERE status <> 'cancelled'`, ['warning', 'CREATE']],
    [`ON big (due) WHERE status IN ('pending', 'cancelled')`, ['warning', 'CREATE']],
    [`ON big (due) WHERE status IN ('pending', 'shipped')`, ['ok']],
    [`ON big (due) WHERE status = 'pending'`, ['ok']],
    ['ON big (status, due)', ['ok']],
  ])('of many orders must hold unpaid ones only: CREATE INDEX %s', async (index, [level, statement]) => {
    const table = await create()
    await table.pool.query(`CREATE TABLE big (id int PRIMARY KEY, status text, due timestamptz);
      INSERT INTO big SELECT n, CASE WHEN n % 2 = 0 THEN 'paid' ELSE 'cancelled' END, now() FROM generate_series(1, 240000) n;
      CREATE INDEX given ${index}; ANALYZE big`)
    const settings = {
      ORDERS_DEADLINE_COLUMN: 'due',
      ORDERS_PAID_AT_COLUMN: undefined,
      ORDERS_CANCELLED_AT_COLUMN: undefined,
    }
    const overrides = { settings: { ...settings, ORDERS_TABLE: `${table.schema}.big` } }
    const findings = await diagnose(table, overrides)
    expect(ofCode(findings, 'store-index')[0]?.[0]).toBe(level)
    if (statement === undefined) return
    expect(ofCode(findings, 'store-index')[0]?.[1]).toContain('given')
    await mend(table, findings, 'store-index')
    expect(ofCode(await diagnose(table, overrides), 'store-index')[0]?.[0]).toBe('ok')
  })

  test.each([
    [`(due) WHERE status = 'pending'`, ''],
    [`(due, id) WHERE status = 'pending' AND "paidAt" IS NULL`, ''],
    [`(due) WHERE status NOT IN ('paid', 'cancelled')`, '; ANALYZE many'],
  ])('of many unpaid orders and few others is in order: CREATE INDEX ON many %s', async (index, analyze) => {
    const table = await create()
    await table.pool.query(`CREATE TABLE many (id int PRIMARY KEY, status text, due timestamptz, "paidAt" timestamptz);
      INSERT INTO many SELECT n, CASE WHEN n % 10 = 0 THEN 'paid' ELSE 'pending' END, now() FROM generate_series(1, 150000) n;
      CREATE INDEX ON many ${index} ${analyze}`)
    const settings = {
      ORDERS_DEADLINE_COLUMN: 'due',
      ORDERS_PAID_AT_COLUMN: 'paidAt',
      ORDERS_CANCELLED_AT_COLUMN: undefined,
    }
    const overrides = { settings: { ...settings, ORDERS_TABLE: `${table.schema}.many` }, watchesPayments: false }
    expect(ofCode(await diagnose(table, overrides), 'store-index')).toEqual([['ok', 'one on "due", for the sweeper']])
  })

  test('of a partitioned table is made without CONCURRENTLY', async () => {
    const table = await create()
    await table.pool.query(`CREATE TABLE parts (LIKE orders) PARTITION BY HASH (id);
      CREATE TABLE part0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)`)
    const overrides = { settings: { ORDERS_TABLE: `${table.schema}.parts` } }
    await migratePostgres(table.storeOptions(overrides), { dryRun: false })
    const notices = await noticesOf(table, overrides)
    expect(notices).toEqual([
      expect.stringContaining('no unique index on id alone'),
      expect.any(String),
      expect.stringContaining('payments that come after a cancellation'),
    ])
    const findings = await diagnose(table, overrides)
    expect(notices[1]?.endsWith(fixesOf(findings, 'store-index').join(' '))).toBe(true)
    await mend(table, findings, 'store-index')
    await mend(table, findings, 'store-late-index')
    expect(ofCode(await diagnose(table, overrides), 'store-index')[0]?.[0]).toBe('ok')
    expect(await noticesOf(table, overrides)).toHaveLength(1)
  })

  test('of a view is not asked for, neither here nor when the store is opened', async () => {
    const table = await create()
    await table.migrate()
    await table.pool.query('CREATE VIEW seen AS SELECT * FROM orders')
    const overrides = { settings: { ORDERS_TABLE: `${table.schema}.seen` } }
    await migratePostgres(table.storeOptions(overrides), { dryRun: false })
    expect(ofCode(await diagnose(table, overrides), 'store-index')[0]?.[0]).toBe('info')
    expect(await noticesOf(table, overrides)).toEqual([expect.stringContaining('since it is a view')])
    const missing = expect.stringContaining('CREATE INDEX CONCURRENTLY')
    expect(await noticesOf(table, {})).toEqual([missing, missing])
  })
})

test('a date of payment is an error where the silence of payments is watched, and the daemon does not start', async () => {
  const table = await createSound()
  await table.pool.query('ALTER TABLE orders ALTER COLUMN paid_at TYPE date')
  const findings = await diagnose(table)
  expect(ofCode(findings, 'store-table')).toEqual([
    [
      'error',
      expect.stringMatching(/^BRAKE_PAYMENT_SILENCE: expected paid_at to be timestamptz or timestamp, it is date/),
    ],
  ])
  expect(ofCode(findings, 'store-paid-index')).toEqual([])
  await expect(PostgresStore.open(table.storeOptions({ watchesPayments: true }))).rejects.toMatchObject({
    code: 'STORE_MISMATCH',
    message: expect.stringContaining('BRAKE_PAYMENT_SILENCE'),
  })
  expect(ofCode(await diagnose(table, { watchesPayments: false }), 'store-table')[0]?.[0]).toBe('ok')
  await (await PostgresStore.open(table.storeOptions())).close()
})

test('an index by the time of payment is asked for only where the silence of payments is watched', async () => {
  const table = await create()
  expect(ofCode(await diagnose(table, { watchesPayments: false }), 'store-paid-index')).toEqual([])
  const findings = await diagnose(table)
  expect(ofCode(findings, 'store-paid-index')[0]?.[0]).toBe('warning')
  await mend(table, findings, 'store-paid-index')
  expect(ofCode(await diagnose(table), 'store-paid-index')[0]?.[0]).toBe('ok')
})

describe('statuses', () => {
  test.each<[string, string[], Partial<PostgresSettings>, string, string, string[]]>([
    [
      'other case',
      ['Pending', 'paid'],
      {},
      'warning',
      "ORDERS_UNPAID_STATUSES has 'pending', the table has 'Pending'",
      ['ORDERS_UNPAID_STATUSES=Pending'],
    ],
    [
      'a second writing',
      ['pending', 'PENDING'],
      {},
      'warning',
      "ORDERS_UNPAID_STATUSES has 'pending', the table has also 'PENDING'",
      ['ORDERS_UNPAID_STATUSES=pending,PENDING'],
    ],
    [
      'one letter less',
      ['canceled', 'pending'],
      {},
      'warning',
      "ORDERS_CANCELLED_STATUS has 'cancelled', the table has 'canceled'",
      ['ORDERS_CANCELLED_STATUS=canceled'],
    ],
    [
      'paid is not unpaid',
      ['paid', 'unpaid'],
      { ORDERS_UNPAID_STATUSES: ['unpaid'] },
      'ok',
      'orders with unpaid occur',
      [],
    ],
    ['none unpaid now', ['paid', 'shipped'], {}, 'info', 'no order has pending; there are paid, shipped', []],
    ['no order', [], {}, 'info', 'there is no order yet', []],
  ])('%s: %j', async (_, statuses, settings, level, what, fixes) => {
    const table = await create()
    await table.insert(statuses.map((status, index) => ({ id: `${index}`, status, deadline: inAnHour() })))
    const findings = await diagnose(table, { settings })
    expect(ofCode(findings, 'store-statuses')).toEqual([[level, what]])
    expect(fixesOf(findings, 'store-statuses')).toEqual(fixes)
  })

  test('one that is rare in a table that has been analysed is found', async () => {
    const table = await create()
    await table.pool.query(`INSERT INTO orders SELECT n, 'paid', now() FROM generate_series(1, 30000) n;
      INSERT INTO orders VALUES (40000, 'pending', now() + interval '1 hour'); ANALYZE orders`)
    expect(ofCode(await diagnose(table), 'store-statuses')).toEqual([['ok', 'orders with pending occur']])
  })

  test('a table that cannot be searched in time is not waited for', async () => {
    const table = await create()
    await table.pool.query(`CREATE VIEW slow AS SELECT * FROM orders WHERE pg_sleep(0.2) IS NOT NULL`)
    await table.insert(Array.from({ length: 100 }, (_, n) => ({ id: `${n}`, deadline: inAnHour() })))
    const startedAt = Date.now()
    const findings = await diagnose(table, { settings: { ORDERS_TABLE: `${table.schema}.slow` } })
    expect(Date.now() - startedAt).toBeLessThan(8_000) // it would give up after 10 s
    expect(ofCode(findings, 'store-statuses')).toEqual([['info', 'could not tell which statuses occur within 1 s']])
    expect(ofCode(findings, 'store-overdue')[0]?.[0]).toBe('info')
  })
})

describe('deadlines', () => {
  test('no column for them is a warning', async () => {
    const table = await create({ deadlineType: null })
    const findings = await diagnose(table)
    expect(ofCode(findings, 'store-deadlines')[0]?.[0]).toBe('warning')
    expect(ofCode(findings, 'store-index')).toEqual([])
  })

  test.each([
    [5_000, 'ok'],
    [60_000, 'warning'],
    [600_000, 'error'],
  ])('an unpaid order overdue by %d ms: %s', async (late, level) => {
    const table = await createSound()
    await table.insert([{ id: '10', deadline: Date.now() - late }])
    expect(ofCode(await diagnose(table), 'store-overdue')[0]?.[0]).toBe(level)
  })

  test('is a warning that names the other possibility where the shop has a statement of its own, which may keep it', async () => {
    const table = await createSound()
    await table.insert([{ id: '10', deadline: Date.now() - 3_600_000 }])
    const cancelSql =
      "SELECT '1' AS id, 'kept' AS outcome, now() AS until WHERE '1' = ANY ($1::text[]) AND now() > ANY ($2::timestamptz[])"
    const [found] = (await diagnose(table, { settings: { cancelSql } })).filter(({ code }) => code === 'store-overdue')
    expect(found).toMatchObject({ level: 'warning', meaning: expect.stringContaining('ORDERS_CONDITION') })
  })
})

describe('the table', () => {
  test('each setting that does not fit is an error of its own', async () => {
    const table = await create()
    const settings = { ORDERS_STATUS_COLUMN: 'state', ORDERS_DEADLINE_COLUMN: 'due' }
    const findings = await diagnose(table, { settings })
    expect(ofCode(findings, 'store-table').map(([level, what]) => [level, what.split(':')[0]])).toEqual([
      ['error', 'ORDERS_STATUS_COLUMN'],
      ['error', 'ORDERS_DEADLINE_COLUMN'],
    ])
  })

  test('an id that may be there twice is an error, and its statement mends it', async () => {
    const table = await create()
    await table.pool.query('ALTER TABLE orders DROP CONSTRAINT orders_pkey')
    const findings = await diagnose(table)
    expect(complaints(findings)).toContain('store-table')
    await mend(table, findings, 'store-table')
    expect(ofCode(await diagnose(table), 'store-table')[0]?.[0]).toBe('ok')
  })

  test('that is not there: one of that name elsewhere is named', async () => {
    const table = await create()
    await table.pool.query('ALTER TABLE orders RENAME TO "Orders of the shop"')
    const findings = await diagnose(table, { settings: { ORDERS_TABLE: 'Orders of the shop' } })
    expect(ofCode(findings, 'store-table')).toEqual([
      ['error', 'there is no table Orders of the shop here (names are case-sensitive)'],
    ])
    const [fix = ''] = fixesOf(findings, 'store-table')
    expect(fix).toBe(`ORDERS_TABLE=${table.schema}."Orders of the shop"`)
    const name = fix.slice(fix.indexOf('=') + 1)
    expect(ofCode(await diagnose(table, { settings: { ORDERS_TABLE: name } }), 'store-table')[0]?.[0]).toBe('ok')
  })
})

describe('a role', () => {
  const role = uniqueName('clerk')
  const url = () => databaseUrl().replace('postgres@', `${role}:geheim@`)
  const asRole = (table: OrdersTable) => diagnose(table, { settings: { DATABASE_URL: url() } })
  let admin: Client

  beforeAll(async () => {
    admin = new Client(databaseUrl())
    await admin.connect()
    await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'geheim'`)
  })
  afterAll(async () => {
    await admin.query(`DROP ROLE ${role}`)
    await admin.end()
  })
  afterEach(() => admin.query(`DROP OWNED BY ${role}`))
  let table: OrdersTable
  beforeEach(async () => {
    table = await createSound()
  })

  test('that may nothing is told what it needs; with that, the store opens', async () => {
    const hidden = await asRole(table)
    expect(ofCode(hidden, 'store-permissions')).toEqual([
      ['error', `the role ${role} may not use the schema ${table.schema}`],
    ])
    await mend(table, hidden, 'store-permissions')
    const findings = await asRole(table)
    expect(ofCode(findings, 'store-permissions')).toEqual([
      [
        'error',
        `the role ${role} may not read "id", "status", "payment_deadline", "paid_at", "cancelled_at", nor write "status", "cancelled_at", nor add to the outbox, nor read "${table.schema}".order_expiry_tables`,
      ],
    ])
    await mend(table, findings, 'store-permissions')
    const allowed = await asRole(table)
    expect(complaints(allowed)).toEqual(['store-late-payments']) // it cancels, and cannot tell of late money
    await mend(table, allowed, 'store-late-payments')
    expect(complaints(await asRole(table))).toEqual([])
    await table.pool.query(`GRANT INSERT ON audit TO ${role}`) // for the table's own trigger
    await table.insert([{ id: '10', deadline: Date.now() - 1_000 }])
    const store = await PostgresStore.open(table.storeOptions({ settings: { DATABASE_URL: url() } }))
    expect(await store.cancelUnpaid([{ orderId: '10', deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
    await store.close()
  })

  test.each([
    ['REVOKE UPDATE ON orders', 'write "status", "cancelled_at"'],
    ['REVOKE SELECT ON orders', 'read "id", "status", "payment_deadline", "paid_at", "cancelled_at"'],
    ['REVOKE INSERT ON order_expiry_outbox', 'add to the outbox'],
    ['REVOKE SELECT ON order_expiry_tables', 'read "SCHEMA".order_expiry_tables'],
  ])('%s: an error that its statement mends', async (revoke, what) => {
    await table.pool.query(`GRANT USAGE ON SCHEMA ${table.schema} TO ${role};
      GRANT SELECT, UPDATE ON orders TO ${role}; GRANT INSERT ON order_expiry_outbox TO ${role};
      GRANT SELECT ON order_expiry_tables TO ${role}; ${revoke} FROM ${role}`)
    const findings = await asRole(table)
    expect(ofCode(findings, 'store-permissions')).toEqual([
      ['error', `the role ${role} may not ${what.replace('SCHEMA', table.schema)}`],
    ])
    expect(fixesOf(findings, 'store-permissions')).toHaveLength(1)
    await mend(table, findings, 'store-permissions')
    const allowed = await asRole(table)
    expect(complaints(allowed)).toEqual(['store-late-payments']) // it cancels, and cannot tell of late money
    await mend(table, allowed, 'store-late-payments')
    expect(complaints(await asRole(table))).toEqual([])
  })

  test('that may not read what the condition and the assignments name, or write what they set, is told so', async () => {
    await table.pool.query(`ALTER TABLE orders ADD paid boolean, ADD version int, ADD closed_by text, ADD secret text;
      GRANT USAGE ON SCHEMA ${table.schema} TO ${role}; GRANT INSERT ON order_expiry_outbox, audit TO ${role};
      GRANT SELECT ON order_expiry_tables TO ${role}; GRANT SELECT, INSERT ON order_expiry_late_payments TO ${role};
      GRANT SELECT (id, status, payment_deadline, paid_at, cancelled_at) ON orders TO ${role};
      GRANT UPDATE (status, cancelled_at) ON orders TO ${role}`)
    const settings = {
      DATABASE_URL: url(),
      ORDERS_CONDITION: `paid IS NOT TRUE AND status <> 'secret'`,
      ORDERS_SET: `version = version + 1, closed_by = 'expiry'`,
    }
    const findings = await diagnose(table, { settings })
    expect(ofCode(findings, 'store-permissions')).toEqual([
      ['error', `the role ${role} may not read "paid", "version", nor write "version", "closed_by"`],
    ])
    await mend(table, findings, 'store-permissions')
    expect(complaints(await diagnose(table, { settings })).filter((code) => code !== 'store-index')).toEqual([])
    await table.insert([{ id: '10', deadline: Date.now() - 1_000 }])
    const store = await PostgresStore.open(table.storeOptions({ settings }))
    expect(await store.cancelUnpaid([{ orderId: '10', deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
    await store.close()
  })

  test('that may only add to the outbox is told that its metrics are missing, and what brings them', async () => {
    await table.pool.query(`GRANT USAGE ON SCHEMA ${table.schema} TO ${role};
      GRANT SELECT, UPDATE ON orders TO ${role}; GRANT INSERT ON order_expiry_outbox TO ${role};
      GRANT SELECT ON order_expiry_tables TO ${role}; GRANT SELECT, INSERT ON order_expiry_late_payments TO ${role}`)
    const findings = await asRole(table)
    expect(ofCode(findings, 'store-backlog')).toEqual([['info', `the role ${role} may not read the outbox`]])
    expect(complaints(findings)).toEqual([])
    await mend(table, findings, 'store-backlog')
    expect(ofCode(await asRole(table), 'store-backlog')).toEqual([
      ['info', '0 events in the outbox; nothing deletes them yet'],
    ])
  })

  test('from which row security hides orders is warned of', async () => {
    await table.pool.query(`GRANT USAGE ON SCHEMA ${table.schema} TO ${role}; ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
      GRANT SELECT, UPDATE ON orders TO ${role}; GRANT INSERT ON order_expiry_outbox TO ${role};
      GRANT SELECT ON order_expiry_tables TO ${role}; GRANT SELECT, INSERT ON order_expiry_late_payments TO ${role}`)
    const findings = await asRole(table)
    expect(complaints(findings)).toEqual(['store-row-security', 'store-late-index'])
    expect(findings.find(({ code }) => code === 'store-row-security')?.meaning).toContain('may see but not update')
    await mend(table, findings, 'store-row-security')
    expect(complaints(await asRole(table))).toEqual([])
    await admin.query(`ALTER ROLE ${role} NOBYPASSRLS`)
  })

  test('with too few connections is warned of', async () => {
    await admin.query(`ALTER ROLE ${role} CONNECTION LIMIT 2`)
    const findings = await asRole(table)
    expect(complaints(findings)).toContain('store-connections')
    await mend(table, findings, 'store-connections')
    expect(ofCode(await asRole(table), 'store-connections')[0]?.[0]).toBe('ok')
    await admin.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`)
  })

  test('whose transactions are read-only is an error, and its statement mends it', async () => {
    await admin.query(`ALTER ROLE ${role} SET default_transaction_read_only = on`)
    const findings = await asRole(table)
    expect(ofCode(findings, 'store-writable')).toEqual([['error', 'default_transaction_read_only is on (from: user)']])
    await mend(table, findings, 'store-writable')
    expect(ofCode(await asRole(table), 'store-writable')[0]?.[0]).toBe('ok')
  })

  test('no password is ever shown', async () => {
    const wrong = databaseUrl().replace('postgres@', 'nobody:geheim@')
    for (const findings of [await asRole(table), await diagnose(table, { settings: { DATABASE_URL: wrong } })]) {
      expect(complaints(findings)).not.toEqual([])
      expect(JSON.stringify(findings)).not.toContain('geheim')
    }
  })
})

test.each([
  [0, 'ok'],
  [5_000, 'warning'],
  [-45_000, 'error'],
])('a clock here that is %d ms ahead: %s', async (ahead, level) => {
  const table = await createSound()
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead }
  expect(ofCode(await diagnose(table, { clock }), 'store-clock')[0]?.[0]).toBe(level)
})

describe('a server', () => {
  let own: Server | undefined
  afterEach(async () => {
    await own?.stop()
    own = undefined
  })

  test('that nobody runs is an error, at once', async () => {
    const table = await createSound()
    const url = `postgres://clerk:geheim@127.0.0.1:${await freePort()}/shop`
    const findings = await diagnose(table, { settings: { DATABASE_URL: url } })
    expect(findings).toMatchObject([{ level: 'error', code: 'store-reachable', subject: 'store' }])
    expect(findings[0]?.what).toContain('ECONNREFUSED')
    expect(JSON.stringify(findings)).not.toContain('geheim')
  })

  test('that never answers is an error within 10 s', async () => {
    const table = await createSound()
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket))
    const port = await freePort()
    await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve))
    const startedAt = Date.now()
    const findings = await diagnose(table, { settings: { DATABASE_URL: `postgres://clerk@127.0.0.1:${port}/shop` } })
    expect(Date.now() - startedAt).toBeLessThan(11_000)
    expect(findings).toMatchObject([{ level: 'error', code: 'store-reachable' }])
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  test('with no connections left is warned of, and read-only for all is an error that its statement mends', async () => {
    own = await startPostgres()
    const client = await eventually('it has started up', async () => {
      const attempt = new Client(own?.url)
      return attempt.connect().then(
        () => attempt,
        () => undefined,
      )
    })
    await client.query('CREATE TABLE orders (id int PRIMARY KEY, status text, payment_deadline timestamptz)')
    await client.query('ALTER SYSTEM SET default_transaction_read_only = on')
    await client.query('SELECT pg_reload_conf()')
    const look = () =>
      diagnosePostgres({
        settings: postgresSettings({ DATABASE_URL: own?.url }),
        connections: 190,
        onError: () => {},
      })
    const isReadOnly = async () => ofCode(await look(), 'store-writable')[0]?.[0] === 'error'
    await eventually('the setting is read', isReadOnly)
    const others = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const other = new Client(own?.url)
        await other.connect()
        return other
      }),
    )
    const findings = await look()
    expect(ofCode(findings, 'store-connections')[0]?.[0]).toBe('warning')
    for (const fix of fixesOf(findings, 'store-writable')) await client.query(fix)
    await eventually('it is mended', async () => !(await isReadOnly()))
    for (const other of [client, ...others]) await other.end()
  })
})
