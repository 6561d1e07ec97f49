import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { sweepIndex } from '../../src/stores/postgres/indexes.ts'
import { readColumns } from '../../src/stores/postgres/inspection.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import type { PostgresSettings } from '../../src/stores/postgres/settings.ts'
import { databaseUrl, uniqueName } from '../helpers/env.ts'
import { plansOf, sentBy } from '../helpers/plans.ts'
import { postgresSettings } from '../helpers/postgres-settings.ts'

/** The statements that the store sends, at this many orders, whatever the planner knows of them. */
const ROWS = 10_000_000
const BATCH = 250
const FIRST_DUE = Date.parse('2020-01-01T00:00:00Z')

const schema = uniqueName('plans')
const admin = new pg.Client({ connectionString: databaseUrl() })

/** The nth order under each of its ids: bigint, uuid and text. */
const ids = {
  id: (n: number) => `${n}`,
  uid: (n: number) => `00000000-0000-0000-0000-${n.toString(16).padStart(12, '0')}`,
  code: (n: number) => `${ROWS + n}`,
} as const
type IdColumn = keyof typeof ids
const ID_COLUMNS = Object.keys(ids) as IdColumn[]
/** By the one column almost all orders are pending, by the other almost none. */
const STATUS_COLUMNS = ['open', 'settled'] as const
type StatusColumn = (typeof STATUS_COLUMNS)[number]
/** One order in so many is the exception. */
const RARE = 10_000
/** Of the indexes and the table: three look-ups, and a new version that all five indexes take up. */
const PAGES_PER_ORDER = 40

const attribute = (column: string) =>
  `(SELECT attnum FROM pg_attribute WHERE attrelid = '${schema}.orders'::regclass AND attname = '${column}')`
const renumber = (from: string, to: string) =>
  `UPDATE pg_statistic SET staattnum = ${to} WHERE starelid = '${schema}.orders'::regclass AND staattnum = ${from}`

/** What the planner knows of the table, each made from the one before. */
const STATISTICS: [name: string, sql: string][] = [
  ['missing', ''],
  ['right', `ANALYZE ${schema}.orders`],
  [
    'misleading: almost all are pending where almost none are, and the other way round',
    [
      renumber(attribute('open'), '99'),
      renumber(attribute('settled'), attribute('open')),
      renumber('99', attribute('settled')),
    ].join(';'),
  ],
  [
    'stale, from when there were ten orders',
    `UPDATE pg_class SET relpages = 1, reltuples = 10 WHERE oid = '${schema}.orders'::regclass`,
  ],
]

const settingsOf = (idColumn: IdColumn, statusColumn: StatusColumn): PostgresSettings =>
  postgresSettings({
    DATABASE_URL: databaseUrl(),
    ORDERS_TABLE: `${schema}.orders`,
    ORDERS_ID_COLUMN: idColumn,
    ORDERS_STATUS_COLUMN: statusColumn,
    ORDERS_DEADLINE_COLUMN: 'due',
    ORDERS_PAID_AT_COLUMN: 'paid_at',
    ORDERS_CANCELLED_AT_COLUMN: 'cancelled_at',
  })
const storeOptions = (settings: PostgresSettings) => ({ settings, connections: 1, onError: () => {} })

beforeAll(async () => {
  await admin.connect()
  await admin.query(`
    SET maintenance_work_mem = '256MB';
    CREATE SCHEMA ${schema};
    CREATE UNLOGGED TABLE ${schema}.orders WITH (autovacuum_enabled = false) AS
      SELECT n AS id, lpad(to_hex(n), 32, '0')::uuid AS uid, (${ROWS} + n)::text AS code,
             CASE WHEN n % ${RARE} = 0 THEN 'paid' ELSE 'pending' END AS open,
             CASE WHEN n % ${RARE} = 0 THEN 'pending' ELSE 'paid' END AS settled,
             to_timestamp(${FIRST_DUE / 1_000}) + n * interval '1 ms' AS due,
             NULL::timestamptz AS paid_at, NULL::timestamptz AS cancelled_at
      FROM generate_series(1::bigint, ${ROWS}) n;
    CREATE UNIQUE INDEX by_id ON ${schema}.orders (id);
    CREATE UNIQUE INDEX by_uid ON ${schema}.orders (uid);
    CREATE UNIQUE INDEX by_code ON ${schema}.orders (code);
    CREATE INDEX by_open ON ${schema}.orders (open)`)
  for (const statusColumn of STATUS_COLUMNS) {
    const { name, on } = await sweepIndexOf(statusColumn)
    await admin.query(`CREATE INDEX ${name} ON ${on}`)
  }
  await migratePostgres(storeOptions(settingsOf('id', 'open')), { dryRun: false })
  await admin.query(`UPDATE ${schema}.order_expiry_tables SET first_seen_at = '2002-01-01'`)
}, 180_000)

afterAll(async () => {
  await admin.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  await admin.end()
})

describe.each(STATISTICS)('where the statistics are %s', (_, statistics) => {
  beforeAll(async () => {
    await admin.query(statistics)
  })

  describe.each(STATUS_COLUMNS)('and the status is %s', (statusColumn) => {
    test.each(ID_COLUMNS)('a batch goes by the %s, and touches its own orders only', async (idColumn) => {
      const sent = await sentBy(settingsOf(idColumn, statusColumn), async (store) => {
        const nobody = { orderId: ids[idColumn](0), deadline: 0 }
        await store.cancelUnpaid([nobody], { dryRun: true })
        await store.cancelUnpaid([nobody])
        await store.find([nobody.orderId])
      })
      expect(sent).toHaveLength(3)
      // Half of them pending, from all over the table.
      const rare = Array.from({ length: BATCH / 2 }, (_, n) => (n + 1) * RARE)
      const batch = [...rare, ...rare.map((n) => n + RARE / 2)]
      for (const { text, values } of sent) {
        const deadlines = text.includes('$2::float8[]') ? [batch.map(() => 0)] : []
        const whole = [batch.map(ids[idColumn]), ...deadlines, ...values.slice(1 + deadlines.length)]
        for (const plan of await plansOf(admin, { text, values: whole })) {
          expect(plan.waysToOrders).toEqual([`by_${idColumn}`])
          expect(plan.mostOrders).toBeLessThanOrEqual(BATCH)
          expect(plan.pages).toBeLessThan(PAGES_PER_ORDER * BATCH)
        }
      }
    })

    test('a sweep goes by its index, and touches the orders of its page only', async () => {
      const { name } = await sweepIndexOf(statusColumn)
      const middle = statusColumn === 'open' ? ROWS / 2 : RARE * 500
      const sent = await sentBy(settingsOf('id', statusColumn), async (store) => {
        const first = await store.unpaidDueBefore(Date.now(), undefined, BATCH)
        expect(first).toHaveLength(BATCH)
        await store.unpaidDueBefore(Date.now(), first.at(-1), BATCH)
        await store.unpaidDueBefore(Date.now(), { orderId: `${middle}`, deadline: FIRST_DUE + middle }, BATCH)
        await store.unpaidDueBefore(FIRST_DUE, undefined, BATCH)
        // The next deadline after an instant; the id is only one that the table knows.
        await store.unpaidDueBefore(Date.now(), { orderId: '1', deadline: FIRST_DUE + middle + 0.5 }, 1)
      })
      const settings = sent.find(({ text }) => text.startsWith('BEGIN'))?.text.replace(/^BEGIN[^;]*;/, '')
      const pages = sent.filter(({ values }) => values.length > 0)
      expect(pages).toHaveLength(5)
      for (const page of pages) {
        for (const plan of await plansOf(admin, { ...page, settings })) {
          // The last order of the page before is looked up by its id.
          expect(plan.waysToOrders.filter((way) => way !== 'by_id')).toEqual([name])
          expect(plan.mostOrders).toBeLessThanOrEqual(BATCH)
          expect(plan.pages).toBeLessThan(3 * BATCH)
        }
      }
    })
  })
})

async function sweepIndexOf(statusColumn: StatusColumn): Promise<{ name: string; on: string }> {
  return sweepIndex(await readColumns(admin, { settings: settingsOf('id', statusColumn) }))
}
