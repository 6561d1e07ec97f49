import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { diagnosePostgres } from '../helpers/diagnose-postgres.ts'
import { databaseUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { startPgbouncer } from '../helpers/pgbouncer.ts'
import { freePort, type Server, startPostgres } from '../helpers/processes.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const TIMEOUTS = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']

const due = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({ orderId: `${from + n}`, deadline: Date.now() - 1_000 }))

async function openTable(orders: number): Promise<OrdersTable> {
  const table = await OrdersTable.create({})
  closing.push(() => table.drop())
  await table.migrate()
  await table.insert(due(0, orders).map(({ orderId, deadline }) => ({ id: orderId, deadline })))
  return table
}

async function openStore(table: OrdersTable, url: string, notices: string[] = []): Promise<PostgresStore> {
  const onNotice = (notice: string) => void notices.push(notice)
  const store = await PostgresStore.open(
    table.storeOptions({ settings: { DATABASE_URL: url }, connections: 3, onNotice }),
  )
  closing.push(() => store.close())
  return store
}

/** Holds an uncommitted INSERT of an event, for which our own waits: SKIP LOCKED is of no use there. */
async function holdUp(table: OrdersTable): Promise<void> {
  const holder = new pg.Client({ connectionString: databaseUrl() })
  await holder.connect()
  closing.push(() => holder.end())
  await holder.query(`BEGIN; LOCK TABLE ${table.schema}.order_expiry_outbox`)
}

describe.each([
  ['refuses start-up parameters', []],
  ['drops them', TIMEOUTS],
])('a pooler that %s', (_, ignored) => {
  test('works: all is cancelled once, and nothing waits for a lock longer than it would without the pooler', async () => {
    const table = await openTable(400)
    const url = await startPgbouncer(databaseUrl(), ignored)
    const notices: string[] = []
    const store = await openStore(table, url, notices)
    const batches = Array.from({ length: 20 }, (_, n) => due(n * 20, 20))
    const outcomes = await Promise.all(batches.map((batch) => store.cancelUnpaid(batch)))
    expect(outcomes.flat().filter(({ kind }) => kind === 'cancelled')).toHaveLength(400)
    expect(await table.outbox()).toHaveLength(400)
    expect(await store.unpaidDueBefore(Date.now(), undefined, 10)).toEqual([])
    expect(notices.filter((notice) => notice.includes('time-outs'))).toHaveLength(1)

    await table.insert([{ id: '1000', deadline: Date.now() - 1_000 }])
    await holdUp(table)
    const startedAt = performance.now()
    await expect(store.cancelUnpaid(due(1_000, 1))).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  test('keeps nothing of ours for the sessions of others', async () => {
    const table = await openTable(3)
    const url = await startPgbouncer(databaseUrl(), ignored)
    const store = await openStore(table, url)
    await Promise.all([store.ping(), store.find(['1']), store.cancelUnpaid(due(0, 3))])
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    closing.push(() => other.end())
    const { rows } = await other.query(
      "SELECT current_setting('lock_timeout') AS a, current_setting('statement_timeout') AS b",
    )
    expect(rows).toEqual([{ a: '0', b: '0' }])
  })

  test('is told by doctor, with what to do', async () => {
    const table = await openTable(1)
    const url = await startPgbouncer(databaseUrl(), ignored)
    const findings = await diagnosePostgres(table.storeOptions({ settings: { DATABASE_URL: url } }))
    expect(findings).toContainEqual(
      expect.objectContaining({
        code: 'store-timeouts',
        level: 'info',
        fix: expect.stringMatching(/^ALTER ROLE postgres SET lock_timeout = '200ms';$/m),
      }),
    )
    expect(findings.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('leads to the schema that the URL names', async () => {
    await cancelsIn(await startPgbouncer(databaseUrl(), ignored))
  })

  test('that has frozen is told of as soon as one statement has not been answered', async () => {
    await failsWithinOneTimeout(await startPgbouncer(databaseUrl(), ignored), (store) => store.find(['0']))
  })
})

/** Whatever is special in a name: for SQL, for an option of a connection, for a replacement in a text. */
async function cancelsIn(server: string): Promise<void> {
  const table = await openTable(1)
  const schema = `${table.schema} \\$&'`
  await table.pool.query(`ALTER SCHEMA ${table.schema} RENAME TO "${schema}"`)
  closing.push(() => table.pool.query(`ALTER SCHEMA "${schema}" RENAME TO ${table.schema}`))
  const url = `${server}?schema=${encodeURIComponent(schema)}`
  const options = table.storeOptions({ settings: { DATABASE_URL: url, ORDERS_TABLE: 'orders' } })
  await migratePostgres(options, { dryRun: false })
  const store = await PostgresStore.open(options)
  closing.push(() => store.close())
  expect(await store.unpaidDueBefore(Date.now(), undefined, 10)).toMatchObject([{ orderId: '0' }])
}

/** The server freezes within a transaction, as soon as a statement is on its way. */
async function failsWithinOneTimeout(url: string, ask: (store: PostgresStore) => Promise<unknown>): Promise<void> {
  const table = await openTable(1)
  const proxy = await TcpProxy.to(url)
  closing.push(() => proxy.close())
  const store = await openStore(table, proxy.urlOf(url))
  await ask(store) // makes the connection
  const query = pg.Client.prototype.query
  pg.Client.prototype.query = function freezing(this: pg.Client, ...args: unknown[]) {
    if (!String(args[0]).startsWith('BEGIN')) proxy.freeze()
    return Reflect.apply(query, this, args)
  } as typeof query
  closing.push(() => {
    pg.Client.prototype.query = query
  })
  const startedAt = performance.now()
  await expect(ask(store)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(performance.now() - startedAt).toBeLessThan(18_000)
}

test('a server that has frozen is told of as soon as one statement has not been answered', () =>
  failsWithinOneTimeout(databaseUrl(), (store) => store.unpaidDueBefore(Date.now(), undefined, 1)))

test('the schema that the URL names is that of the table', () => cancelsIn(databaseUrl()))

test('a socket that the URL names leads to the server, without TLS', async () => {
  const table = await openTable(1)
  const [{ folder }] = (
    await table.pool.query("SELECT split_part(current_setting('unix_socket_directories'), ',', 1) AS folder")
  ).rows as [{ folder: string }]
  const { port } = new URL(databaseUrl())
  for (const query of [
    `host=${encodeURIComponent(folder)}&port=${port}`,
    `host=${folder}&port=${port}&sslmode=require`,
  ]) {
    const options = table.storeOptions({ settings: { DATABASE_URL: `postgres://postgres@/postgres?${query}` } })
    const store = await PostgresStore.open(options)
    closing.push(() => store.close())
    await store.ping()
    const what = `answers at ${folder}/.s.PGSQL.${port}, database postgres`
    expect(await diagnosePostgres(options)).toContainEqual(expect.objectContaining({ code: 'store-reachable', what }))
  }
})

test('without a pooler nothing is added: a statement stays one round trip', async () => {
  const table = await openTable(1)
  const notices: string[] = []
  const store = await openStore(table, databaseUrl(), notices)
  const findings = await diagnosePostgres(table.storeOptions())
  expect(findings).toContainEqual(expect.objectContaining({ code: 'store-timeouts', level: 'ok' }))
  expect(notices.join()).not.toContain('time-outs')
  await store.ping()
  const asked: unknown[] = []
  const query = pg.Client.prototype.query
  pg.Client.prototype.query = function counting(this: pg.Client, ...args: unknown[]) {
    asked.push(args[0])
    return Reflect.apply(query, this, args)
  } as typeof query
  closing.push(() => {
    pg.Client.prototype.query = query
  })
  await store.find(['0'])
  // A new connection is looked at once.
  const sent = asked.filter((sql) => !String(sql).includes('isBounded'))
  expect(sent).toEqual([expect.stringContaining('SELECT o.')])
})

describe('several hosts', () => {
  let standby: Server
  beforeAll(async () => {
    standby = await startPostgres({ settings: { default_transaction_read_only: 'on' } })
  })
  afterAll(() => standby.stop())

  const urlOf = (query: string, ...places: string[]) => `postgres://postgres@${places.join(',')}/postgres${query}`
  const place = (url: string) => new URL(url).host

  test.each(['', '?target_session_attrs=read-write', '?target_session_attrs=primary', '?target_session_attrs=any'])(
    'the one that takes writes is used, whether the first is away or only takes reads: %s',
    async (query) => {
      const table = await openTable(2)
      const away = `127.0.0.1:${await freePort()}`
      const url = urlOf(query, away, place(standby.url), place(databaseUrl()))
      const store = await openStore(table, url)
      expect(await store.cancelUnpaid(due(0, 2))).toMatchObject([{ kind: 'cancelled' }, { kind: 'cancelled' }])
      const findings = await diagnosePostgres(table.storeOptions({ settings: { DATABASE_URL: url } }))
      expect(findings).toContainEqual(
        expect.objectContaining({
          code: 'store-reachable',
          level: 'ok',
          what: `answers at ${place(databaseUrl())}/postgres`,
        }),
      )
    },
  )

  test('when none takes writes, that is said rather than that one is away', async () => {
    const table = await openTable(1)
    const url = urlOf('', `127.0.0.1:${await freePort()}`, place(standby.url))
    await expect(openStore(table, url)).rejects.toMatchObject({ code: 'STORE_READ_ONLY' })
  })

  test('after a failover, connections go to the other one', async () => {
    const table = await openTable(1)
    const proxy = await TcpProxy.to(databaseUrl())
    closing.push(() => proxy.close())
    const store = await openStore(table, urlOf('', place(proxy.urlOf(databaseUrl())), place(databaseUrl())))
    await store.ping()
    proxy.cut()
    await eventually('it is found', () => store.ping().catch(() => undefined))
    expect(await store.cancelUnpaid(due(0, 1))).toMatchObject([{ kind: 'cancelled' }])
  })
})
