import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { parse as parseEnv } from 'dotenv'
import pg from 'pg'
import { parse } from 'yaml'
import { parseQuery, type Selector } from '../deploy/promql.ts'
import { OF_PROMETHEUS, readQueries, TARGET_LABELS } from '../deploy/queries.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

/* What deploy/ brings, held against a daemon. What needs none is in test/deploy. */

test('the sample table is one that the daemon can work with', async () => {
  const { services } = parse(readFileSync('deploy/compose.yaml', 'utf8'), { merge: true }) as {
    services: Record<string, { environment?: Record<string, string> }>
  }
  const database = new pg.Client({ connectionString: databaseUrl() })
  await database.connect()
  try {
    await database.query('CREATE SCHEMA compose_sample; SET search_path TO compose_sample')
    await database.query(readFileSync('deploy/compose/orders.sql', 'utf8'))
    const env = {
      ...services.daemon?.environment,
      REDIS_URL: redisUrl(),
      DATABASE_URL: databaseUrl(),
      ORDERS_TABLE: 'compose_sample.orders',
    }
    const migrated = await runCli(['migrate', '--index'], { env })
    expect([migrated.code, migrated.stderr]).toEqual([0, ''])
    const swept = await runCli(['sweep', '--dry-run', '--json'], { env })
    expect(JSON.parse(swept.stdout)).toMatchObject({ overdue: 0, upcoming: 2 })
  } finally {
    await database.query('DROP SCHEMA compose_sample CASCADE')
    await database.end()
  }
})

test('the Job of Kubernetes migrates with the settings of the base, a database, and nothing else', async () => {
  const { spec } = parse(readFileSync('deploy/kubernetes/components/migrate/job.yaml', 'utf8')) as {
    spec: { template: { spec: { containers: [{ args: string[]; env: { name: string }[] }] } } }
  }
  const [{ args, env }] = spec.template.spec.containers
  expect(env.map(({ name }) => name)).toEqual(['DATABASE_URL'])
  const table = await OrdersTable.create()
  try {
    const settings = parseEnv(readFileSync('deploy/kubernetes/base/settings.env', 'utf8'))
    const given = { NODE_ENV: 'production', ...settings, ...table.env }
    // A file that is mounted for the daemon alone.
    const mounted = { REDIS_TLS_CA_FILE: '/etc/order-expiry/redis-tls/ca.crt', CANCEL_SQL_FILE: '/etc/cancel.sql' }
    const first = await runCli(args, { env: { ...given, ...mounted } })
    expect([first.code, first.stderr]).toEqual([0, ''])
    expect(first.stdout).toContain('CREATE TABLE IF NOT EXISTS')
    const again = await runCli(args, { env: { ...given, ...mounted } })
    expect([again.code, again.stderr]).toEqual([0, ''])
    expect(again.stdout).not.toContain('CREATE')
  } finally {
    await table.drop()
  }
})

describe('a daemon that runs', () => {
  let raw: RawQueue
  let table: OrdersTable
  let daemon: DaemonProcess
  let samples: readonly Sample[]
  beforeAll(async () => {
    raw = new RawQueue()
    table = await OrdersTable.create() // the store that has everything, an outbox too
    await table.migrate()
    daemon = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env })
    const url = await daemon.url()
    samples = await eventually('the order store has been opened', async () => {
      const read = readSamples(await (await fetch(`${url}/metrics`)).text())
      return read.some(({ name }) => name === 'order_expiry_overdue_orders') && read
    })
  })
  afterAll(async () => {
    await daemon.stop()
    await raw.close()
    await table.drop()
  })

  test('has a series for everything that a query chooses by a value, unless it is one that only counting brings', () => {
    const chosen = readQueries().flatMap(([where, query]) =>
      parseQuery(query)
        .selectors.filter(({ metric }) => !(metric in OF_PROMETHEUS) && !metric.endsWith('_total'))
        .map((selector) => ({ where, selector })),
    )
    expect(chosen.length).toBeGreaterThan(30)
    const absent = chosen.filter(({ selector }) => !isThere(selector, samples))
    expect(absent.map(({ where, selector }) => `${where}: ${selector.metric}`)).toEqual([])
  })
})

interface Sample {
  name: string
  labels: Record<string, string>
}

/** Lines of the text format, such as `name{label="value"} 1`. */
function readSamples(text: string): Sample[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? []
      return { name, labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, k, v]) => [k, v])) }
    })
}

/** Each of the values that it asks for, `a|b` being two, is that of a sample. */
function isThere({ metric, matchers }: Selector, samples: readonly Sample[]): boolean {
  const ofMetric = samples.filter(({ name }) => name === metric)
  const own = matchers.filter(({ label }) => !TARGET_LABELS.includes(label))
  return (
    ofMetric.length > 0 &&
    own.every(({ label, value }) =>
      value.split('|').every((one) => ofMetric.some(({ labels }) => labels[label] === one)),
    )
  )
}
