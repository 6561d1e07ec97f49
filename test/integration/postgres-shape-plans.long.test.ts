import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { readConfig } from '../../src/config.ts'
import type { PostgresSettings } from '../../src/stores/postgres/settings.ts'
import { runCli } from '../helpers/daemon.ts'
import { databaseUrl, uniqueName } from '../helpers/env.ts'
import { plansOf, sentBy } from '../helpers/plans.ts'

/** The statements for other shapes of a table, at this many orders, with the index that `migrate --index` makes for each. */
const ROWS = 10_000_000
const BATCH = 250
/** One order in so many is unpaid, where few are. */
const RARE = 10_000
const FIRST_DUE_S = Date.parse('2024-01-01T00:00:00Z') / 1_000
/** Of the indexes and the table: the look-ups of an order, and a new version that all indexes take up. */
const PAGES_PER_ORDER = 40

const schema = uniqueName('shapes')
const admin = new pg.Client({ connectionString: databaseUrl() })

/** What the environment says for each shape of the table. */
const SHAPES: Record<string, { env: Record<string, string>; unpaid: 'most' | 'few' }> = {
  'made at a local time, a number as the status, most unpaid': {
    unpaid: 'most',
    env: {
      ORDERS_STATUS_COLUMN: 'state',
      ORDERS_UNPAID_STATUSES: '0,1',
      ORDERS_CANCELLED_STATUS: '4',
      ORDERS_DEADLINE_COLUMN: 'made',
      ORDERS_DEADLINE_AFTER: '30m',
      ORDERS_TIME_ZONE: 'America/New_York',
      ORDERS_CONDITION: 'deleted = 0',
      ORDERS_SET: 'version = version + 1',
    },
  },
  'due in milliseconds, a boolean as the status, few unpaid': {
    unpaid: 'few',
    env: {
      ORDERS_STATUS_COLUMN: 'void',
      ORDERS_UNPAID_STATUSES: 'false',
      ORDERS_CANCELLED_STATUS: 'true',
      ORDERS_DEADLINE_COLUMN: 'due_ms',
      ORDERS_DEADLINE_UNIT: 'ms',
      ORDERS_CONDITION: 'NOT paid',
    },
  },
  'held for 10 minutes from a number of seconds on, without a status, few unpaid': {
    unpaid: 'few',
    env: {
      ORDERS_STATUS_COLUMN: '',
      ORDERS_DEADLINE_COLUMN: 'held_from',
      ORDERS_DEADLINE_UNIT: 's',
      ORDERS_DEADLINE_AFTER: '10m',
      ORDERS_CONDITION: 'closed_at IS NULL',
      ORDERS_SET: 'closed_at = now()',
    },
  },
}
const STATISTICS: [name: string, sql: string][] = [
  ['missing', 'SELECT'],
  ['right', `ANALYZE ${schema}.orders`],
  [
    'stale, from when there were ten orders',
    `UPDATE pg_class SET relpages = 1, reltuples = 10 WHERE oid = '${schema}.orders'::regclass`,
  ],
]

beforeAll(async () => {
  await admin.connect()
  await admin.query(`
    SET maintenance_work_mem = '256MB';
    CREATE SCHEMA ${schema};
    CREATE UNLOGGED TABLE ${schema}.orders WITH (autovacuum_enabled = false) AS
      SELECT n AS id,
             to_timestamp(${FIRST_DUE_S} + n / 1000.0) AT TIME ZONE 'America/New_York' AS made,
             ${FIRST_DUE_S} * 1000::bigint + n AS due_ms,
             NULLIF(n % ${RARE}, 0) * interval '1 second' + timestamptz '2024-06-01 00:00Z' AS closed_at,
             ${FIRST_DUE_S} + n::integer / 1000 AS held_from,
             0 AS version,
             (CASE WHEN n % ${RARE} = 0 THEN 2 ELSE n % 2 END)::smallint AS state,
             0::smallint AS deleted,
             false AS void,
             n % ${RARE} <> 0 AS paid
      FROM generate_series(1::bigint, ${ROWS}) n;
    CREATE UNIQUE INDEX by_id ON ${schema}.orders (id)`)
}, 180_000)

afterAll(async () => {
  await admin.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  await admin.end()
})

const cases = Object.keys(SHAPES)

test.each(cases)(
  'migrate makes an index for orders %s',
  async (shape) => {
    const { code, stderr } = await runCli(['migrate', '--index'], { env: envOf(shape) })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    // Nothing of it is backlog.
    await admin.query(`UPDATE ${schema}.order_expiry_tables SET first_seen_at = '2023-01-01'`)
  },
  120_000,
)

/** As the driver writes it, or as text already. */
function isArray(value: unknown): boolean {
  return Array.isArray(value) || (typeof value === 'string' && value.startsWith('{'))
}

describe.each(STATISTICS)('where the statistics are %s', (_, statistics) => {
  beforeAll(async () => {
    await admin.query(statistics)
  })

  test.each(cases)('a batch of orders %s goes by the ids, and touches its own only', async (shape) => {
    const sent = await sentBy(settingsOf(shape), async (store) => {
      const nobody = { orderId: '0', deadline: 0 }
      await store.cancelUnpaid([nobody], { dryRun: true })
      await store.cancelUnpaid([nobody])
      await store.find(['0'])
    })
    // Half of them are unpaid, from all over the table.
    const rare = Array.from({ length: BATCH / 2 }, (_, n) => (n + 1) * RARE)
    const batch = [...rare, ...rare.map((n) => n + RARE / 2)]
    const reads = sent.filter(({ values }) => isArray(values[0]))
    expect(reads.length).toBeGreaterThanOrEqual(3)
    for (const { text, values } of reads) {
      const [, ...others] = values.map((value) => (isArray(value) ? batch.map(() => 0) : value))
      for (const plan of await plansOf(admin, { text, values: [batch, ...others] })) {
        expect(plan.waysToOrders).toEqual(['by_id'])
        expect(plan.mostOrders).toBeLessThanOrEqual(BATCH)
        expect(plan.pages).toBeLessThan(PAGES_PER_ORDER * BATCH)
      }
    }
  })

  test.each(cases)('a sweep of orders %s goes by its index, and touches those of its page only', async (shape) => {
    const middle = { orderId: `${SHAPES[shape]?.unpaid === 'few' ? RARE * 500 : ROWS / 2 + 1}` }
    const sent = await sentBy(settingsOf(shape), async (store) => {
      const first = await store.unpaidDueBefore(Date.now(), undefined, BATCH)
      expect(first).toHaveLength(BATCH)
      const [found] = await store.find([middle.orderId])
      await store.unpaidDueBefore(Date.now(), first.at(-1), BATCH)
      await store.unpaidDueBefore(Date.now(), { ...middle, deadline: found?.deadline as number }, BATCH)
      await store.unpaidDueBefore(FIRST_DUE_S * 1_000, undefined, BATCH)
    })
    const settings = sent.find(({ text }) => text.startsWith('BEGIN'))?.text.replace(/^BEGIN[^;]*;/, '')
    const pages = sent.filter(({ text }) => text.includes('ORDER BY') && text.includes('LIMIT $4'))
    expect(pages).toHaveLength(4)
    for (const page of pages) {
      for (const plan of await plansOf(admin, { ...page, settings })) {
        // The last order of the page before is looked up by its id.
        const [index, ...others] = plan.waysToOrders.filter((way) => way !== 'by_id')
        expect(index).toMatch(/^order_expiry_unpaid_/)
        expect(others).toEqual([])
        expect(plan.mostOrders).toBeLessThanOrEqual(BATCH)
        expect(plan.pages).toBeLessThan(3 * BATCH)
      }
    }
  })
})

function envOf(shape: string): Record<string, string> {
  const place = { ORDER_STORE: 'postgres', DATABASE_URL: databaseUrl(), ORDERS_TABLE: `${schema}.orders` }
  return { ...place, ...SHAPES[shape]?.env }
}

function settingsOf(shape: string): PostgresSettings {
  return readConfig({ env: envOf(shape), dotenv: {} })
}
