import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { Finding } from '../../src/doctor/finding.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import type { PostgresSettings } from '../../src/stores/postgres/settings.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { diagnosePostgres } from '../helpers/diagnose-postgres.ts'
import { complaints, fixesOf, ofCode } from '../helpers/findings.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

let shop: OrdersTable
beforeEach(async () => {
  shop = await OrdersTable.create()
})
afterEach(() => shop.drop())

/** The settings of a table `t`, with what a test wants otherwise. */
function optionsOf(settings: Partial<PostgresSettings> = {}) {
  const none = { ORDERS_PAID_AT_COLUMN: undefined, ORDERS_CANCELLED_AT_COLUMN: undefined }
  const own = { ORDERS_TABLE: `${shop.schema}.t`, ORDERS_DEADLINE_COLUMN: 'due', ORDERS_TIME_ZONE: 'UTC' }
  return shop.storeOptions({ settings: { ...none, ...own, ...settings } })
}

/** @param columns of the table `t`, beside its id and status */
async function create(columns: string, rows = ''): Promise<void> {
  await shop.pool.query(
    `CREATE TABLE t (id bigint PRIMARY KEY, status text NOT NULL DEFAULT 'pending', ${columns}); ${rows}`,
  )
}

const diagnose = (settings?: Partial<PostgresSettings>): Promise<Finding[]> => diagnosePostgres(optionsOf(settings))

async function noticesOf(settings?: Partial<PostgresSettings>): Promise<string[]> {
  const notices: string[] = []
  await migratePostgres(optionsOf(settings), { dryRun: false })
  const store = await PostgresStore.open({ ...optionsOf(settings), onNotice: (notice) => void notices.push(notice) })
  await store.close()
  return notices
}

describe('a column that by its name says that an order is paid, and that nothing looks at', () => {
  test.each<[columns: string, paid: string, fix: string]>([
    ['paid_at timestamptz', 'now()', 'ORDERS_PAID_AT_COLUMN=paid_at'],
    ['"paidOn" date', 'now()', 'ORDERS_PAID_AT_COLUMN=paidOn'],
    ['is_paid boolean NOT NULL DEFAULT false', 'true', 'ORDERS_CONDITION=NOT "is_paid"'],
    ['paid boolean', 'true', 'ORDERS_CONDITION="paid" IS NOT TRUE'],
    ['pay_time bigint NOT NULL DEFAULT 0', '1795375176', 'ORDERS_CONDITION="pay_time" = 0'],
    ['amount_paid numeric', '9.5', 'ORDERS_CONDITION=coalesce("amount_paid", 0) = 0'],
    [`"paymentStatus" shown NOT NULL DEFAULT 'UNPAID'`, `'PAID'`, `ORDERS_CONDITION="paymentStatus" = 'UNPAID'`],
    [`financial_status text DEFAULT 'pending'`, `'paid'`, `ORDERS_CONDITION="financial_status" = 'pending'`],
  ])('%s: is warned of with the number of such orders, and the fix is one', async (column, paid, fix) => {
    await shop.pool.query(`CREATE TYPE shown AS ENUM ('UNPAID', 'PAID', 'REFUNDED')`)
    const name = column.split(' ')[0]
    await create(
      `due timestamptz DEFAULT now() + interval '1 hour', ${column}`,
      `INSERT INTO t (id) VALUES (1), (2); INSERT INTO t (id, ${name}) VALUES (3, ${paid})`,
    )
    const findings = await diagnose()
    const said = `no setting looks at ${name?.replaceAll('"', '')}, which by its name says whether an order is paid; 1 order counted as unpaid is paid by`
    expect(ofCode(findings, 'store-paid-columns')).toEqual([['warning', expect.stringContaining(said)]])
    expect(fixesOf(findings, 'store-paid-columns')).toEqual([fix])
    expect(await noticesOf()).toContainEqual(expect.stringMatching(/^no setting looks at .* cancelled .*ORDERS_/))

    const [setting = '', ...rest] = fix.split('=')
    const mended = { [setting]: rest.join('=') }
    expect(ofCode(await diagnose(mended), 'store-paid-columns')).toEqual([])
    const store = await PostgresStore.open(optionsOf(mended))
    const found = await store.find(['1', '3'])
    expect(found.map((order) => order?.isUnpaid)).toEqual([true, false])
    await store.close()
  })

  test('several of them become one condition, together with the one that there is', async () => {
    await create(
      'due timestamptz, paid_at timestamptz, paid boolean NOT NULL DEFAULT false, pay_status smallint, settled_at timestamp, note text, deleted_at timestamptz',
      'INSERT INTO t (id, pay_status) VALUES (1, 0), (2, 7)',
    )
    const findings = await diagnose({ ORDERS_CONDITION: `note = 'paid' OR note IS NULL` })
    expect(fixesOf(findings, 'store-paid-columns')).toEqual([
      'ORDERS_PAID_AT_COLUMN=paid_at',
      `ORDERS_CONDITION=(note = 'paid' OR note IS NULL) AND NOT "paid" AND coalesce("pay_status", 0) = 0 AND "settled_at" IS NULL`,
    ])
    const told = findings.find(({ code }) => code === 'store-paid-columns')?.fix
    expect(told).toContain('# values of pay_status: 0, 7')
    expect(ofCode(findings, 'store-deleted-columns')).toEqual([['info', expect.stringContaining('deleted_at')]])
    expect(fixesOf(findings, 'store-deleted-columns')[0]).toContain('AND "deleted_at" IS NULL')
  })

  test.each<[what: string, sql: string, settings: Partial<PostgresSettings>]>([
    ['a setting', '', { ORDERS_PAID_AT_COLUMN: 'paid_at' }],
    ['the condition', '', { ORDERS_CONDITION: '"paid_at" IS NULL' }],
    [
      'the statement of the shop',
      '',
      { cancelSql: 'SELECT 1 WHERE paid_at IS NULL AND $1::text[] IS NULL AND $2::text[] IS NULL' },
    ],
    [
      'the generated status',
      `ALTER TABLE t ADD COLUMN state text GENERATED ALWAYS AS (CASE WHEN paid_at IS NULL THEN 'pending' ELSE 'paid' END) STORED`,
      { ORDERS_STATUS_COLUMN: 'state', cancelSql: 'SELECT 1 WHERE $1::text[] IS NULL AND $2::text[] IS NULL' },
    ],
    ['the view', `CREATE VIEW v AS SELECT * FROM t WHERE paid_at IS NULL`, { ORDERS_TABLE: 'SCHEMA.v' }],
  ])('is not warned of if %s looks at it', async (_, sql, settings) => {
    await create('due timestamptz, paid_at timestamptz')
    await shop.pool.query(sql)
    const table = settings.ORDERS_TABLE?.replace('SCHEMA', shop.schema)
    const findings = await diagnose({ ...settings, ...(table && { ORDERS_TABLE: table }) })
    expect(findings.find(({ code }) => code === 'store-index')).toBeDefined()
    expect(ofCode(findings, 'store-paid-columns')).toEqual([])
  })

  test('is warned of where only a text or a comment has its name', async () => {
    await create('due timestamptz, paid boolean')
    const cancelSql = `SELECT 'paid' WHERE $1::text[] IS NULL AND $2::text[] IS NULL -- paid`
    for (const settings of [{ ORDERS_CONDITION: `status <> 'paid'` }, { cancelSql }]) {
      expect(ofCode(await diagnose(settings), 'store-paid-columns')[0]?.[0]).toBe('warning')
    }
  })
})

describe('the next deadline', () => {
  test.each<[type: string, sql: string, settings: Partial<PostgresSettings>, said: RegExp]>([
    ['timestamptz', `now() + interval '24 minutes 5 seconds'`, {}, /^\S+ \S+ is read as 20\S+Z, due in 24 min$/],
    [
      'timestamp',
      `(now() + interval '24 minutes 5 seconds') AT TIME ZONE 'America/New_York'`,
      { ORDERS_TIME_ZONE: 'America/New_York' },
      /^\S+ \S+ \(written in America\/New_York\) is read as 20\S+Z, due in 24 min$/,
    ],
    [
      'bigint',
      `extract(epoch FROM now() - interval '5 minutes 55 seconds')`,
      { ORDERS_DEADLINE_UNIT: 's', ORDERS_DEADLINE_AFTER: 1_800_000 },
      /^1\d{9} \(in seconds, plus 30m\) is read as 20\S+Z, due in 24 min$/,
    ],
    ['timestamptz', `now() - interval '24 minutes'`, {}, /^\S+ \S+ is read as 20\S+Z, due 24 min ago$/],
    ['timestamptz', `'1970-01-21'`, {}, /^never$/],
  ])('%s %s: is told as it is written and as it is read', async (type, sql, settings, said) => {
    await create(`due ${type}`, `INSERT INTO t VALUES (1, 'pending', ${sql}), (2, 'paid', NULL)`)
    const told = ofCode(await diagnose(settings), 'store-deadlines').map(([, what]) => what)
    const reading = said.test('never') ? [] : [expect.stringMatching(said)]
    expect(told).toEqual(['every unpaid order has one', ...reading])
  })
})

test.each(['timestamp', 'timestamptz'])('infinity in a %s is not told as the next deadline', async (type) => {
  await create(`due ${type}`, `INSERT INTO t (id, due) VALUES (1, 'infinity'), (2, '2020-01-01T00:00Z')`)
  const told = ofCode(await diagnose(), 'store-deadlines').map(([, what]) => what)
  expect(told).toEqual(expect.arrayContaining([expect.stringMatching(/^20.* is read as 2020-01-01T00:00:00Z/)]))
})

describe('unpaid orders without a deadline', () => {
  const TWO_YEARS = 'generate_series(1, 730)'
  test.each<[type: string, written: string, settings: Partial<PostgresSettings>]>([
    ['timestamptz', 'TIME', {}],
    ['timestamp', `TIME AT TIME ZONE 'Asia/Shanghai'`, { ORDERS_TIME_ZONE: 'Asia/Shanghai' }],
    ['bigint', 'extract(epoch FROM TIME) * 1000', { ORDERS_DEADLINE_UNIT: 'ms' }],
    ['integer', 'extract(epoch FROM TIME)', { ORDERS_DEADLINE_UNIT: 's' }],
  ])(
    'of type %s, for two years: the statement gives one to those of the last hour alone',
    async (type, written, settings) => {
      await create(`due ${type}, created_at ${type}`)
      const add = (id: string, time: string, from: string) =>
        shop.pool.query(
          `INSERT INTO t (id, created_at) SELECT ${id}, ${written.replace('TIME', `(${time})`)} FROM ${from}`,
        )
      await add('n', `now() - n * interval '1 day'`, `${TWO_YEARS} n`)
      await add('1000 + n', `now() - n * interval '20 minutes'`, 'generate_series(1, 5) n')
      const findings = await diagnose(settings)
      expect(ofCode(findings, 'store-deadlines')).toEqual([['warning', '735 unpaid orders without a deadline']])
      const finding = findings.find(({ code }) => code === 'store-deadlines')
      expect(finding?.fix).toMatch(/^# decide first .*\n.*\n.*leaves 73[23] older orders as they are/)
      for (const fix of fixesOf(findings, 'store-deadlines')) await shop.pool.query(fix)
      const { rows } = await shop.pool.query('SELECT id::int FROM t WHERE due IS NOT NULL ORDER BY id')
      expect(rows.map(({ id }) => id).filter((id) => id !== 1003)).toEqual([1001, 1002])
      const store = await migratePostgres(optionsOf(settings), { dryRun: false }).then(() =>
        PostgresStore.open(optionsOf(settings)),
      )
      const [first] = await store.find(['1001'])
      expect(Math.abs((first?.deadline ?? 0) - Date.now() - 40 * 60_000)).toBeLessThan(60_000)
      await store.close()
    },
  )

  test.each([
    ['no column that tells when they were created', 'note text', undefined],
    ['one of a date', 'created_at date DEFAULT now()', undefined],
    ['one of a number without a unit', 'created_at bigint DEFAULT extract(epoch FROM now())', undefined],
  ])('%s: no statement, but what to decide', async (_, column) => {
    await create(`due timestamptz, ${column}`, `INSERT INTO t (id) SELECT ${TWO_YEARS}`)
    const findings = await diagnose()
    expect(fixesOf(findings, 'store-deadlines')).toEqual([])
    expect(findings.find(({ code }) => code === 'store-deadlines')?.fix).toMatch(/^# decide first/)
  })
})

describe('orders set aside', () => {
  test('are named, with what to do; all others are in order', async () => {
    const day = 86_400_000
    await shop.migrate(new Date(Date.now() - 10 * day).toISOString())
    await shop.insert([
      { id: '1', deadline: Date.now() + 60_000 },
      { id: '2', deadline: Date.now() - 12 * day },
      { id: '3', deadline: 1_795_375_176 },
      { id: '4', deadline: Date.now() + 900 * day },
      { id: '5', deadline: Date.now() + 60_000, paidAt: Date.UTC(1, 0, 1) },
    ])
    await shop.pool.query(
      `INSERT INTO orders (id, status, payment_deadline) VALUES (6, 'pending', '-infinity'), (7, 'pending', 'infinity')`,
    )
    const findings = await diagnosePostgres(shop.storeOptions())
    expect(ofCode(findings, 'store-unreadable')).toEqual([
      ['warning', '2 unpaid orders with a deadline before 2001, which cannot be meant (6, 3)'],
    ])
    expect(ofCode(findings, 'store-backlog-orders')).toEqual([
      [
        'info',
        expect.stringMatching(/^1 unpaid order overdue for more than a day when order-expiry first saw the table, at /),
      ],
    ])
    expect(fixesOf(findings, 'store-backlog-orders')).toEqual(['order-expiry sweep --backlog --dry-run'])
    expect(ofCode(findings, 'store-deadlines')).toContainEqual([
      'warning',
      '1 unpaid order with a deadline more than a year ahead',
    ])
    expect(ofCode(findings, 'store-paid-at')).toEqual([
      ['warning', '1 order otherwise unpaid, with a time of payment before 2001'],
    ])
    expect(ofCode(findings, 'store-overdue')).toEqual([['ok', 'no unpaid order is overdue']])
    const shown = async (statement = '') => (await shop.pool.query(statement)).rows.map(({ id }) => id).sort()
    expect(await shown(fixesOf(findings, 'store-unreadable')[0])).toEqual(['3', '6'])
    expect(await shown(fixesOf(findings, 'store-deadlines')[0])).toEqual(['4'])
    expect(await shown(fixesOf(findings, 'store-paid-at')[0])).toEqual(['5'])
  })

  test('before migrate has run: what will be backlog', async () => {
    await shop.insert([{ id: '1', deadline: Date.now() - 3 * 86_400_000 }])
    const findings = await diagnosePostgres(shop.storeOptions())
    expect(ofCode(findings, 'store-backlog-orders')).toEqual([
      [
        'info',
        expect.stringMatching(/^1 unpaid order overdue for more than a day, which `order-expiry migrate` will take/),
      ],
    ])
  })

  test('numbers in another unit than the setting says are told', async () => {
    await create('due bigint', 'INSERT INTO t (id, due) SELECT 1, extract(epoch FROM now()) * 1000 + 3600000')
    const far = await diagnose({ ORDERS_DEADLINE_UNIT: 's' })
    expect(fixesOf(far, 'store-deadlines')[0]).toBe('ORDERS_DEADLINE_UNIT=ms')
    await shop.pool.query('UPDATE t SET due = due / 1000')
    const early = await diagnose({ ORDERS_DEADLINE_UNIT: 'ms' })
    expect(ofCode(early, 'store-unreadable')[0]?.[0]).toBe('warning')
    expect(complaints(await diagnose({ ORDERS_DEADLINE_UNIT: 's' }))).toEqual(['store-outbox', 'store-index'])
  })
})

describe('ids that cannot be proved to be unique', () => {
  test.each([
    ['CREATE VIEW v AS SELECT * FROM t', 'since it is a view; now, none have', 'info'],
    [
      'CREATE VIEW v AS SELECT * FROM t UNION ALL SELECT * FROM t',
      'several rows have the same id, such as 1',
      'warning',
    ],
    [
      'CREATE TABLE v (LIKE t) PARTITION BY HASH (id); CREATE TABLE v0 PARTITION OF v FOR VALUES WITH (MODULUS 1, REMAINDER 0)',
      'no unique index on id alone',
      'info',
    ],
  ])('%s: are told, with why', async (sql, said, level) => {
    await create('due timestamptz', 'INSERT INTO t (id) VALUES (1)')
    await shop.pool.query(sql)
    const findings = await diagnose({ ORDERS_TABLE: `${shop.schema}.v` })
    expect(ofCode(findings, 'store-ids')).toEqual([[level, expect.stringContaining(said)]])
    expect(ofCode(await diagnose(), 'store-ids')).toEqual([])
  })
})
