import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Client } from 'pg'
import type { Finding } from '../../src/doctor/finding.ts'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { diagnosePostgres } from '../helpers/diagnose-postgres.ts'
import { databaseUrl, uniqueName } from '../helpers/env.ts'
import { complaints, fixesOf, ofCode } from '../helpers/findings.ts'
import { OrdersTable, type StoreOverrides } from '../helpers/orders-table.ts'

let table: OrdersTable
beforeEach(async () => {
  table = await OrdersTable.create()
  await table.migrate()
})
afterEach(() => table.drop())

function diagnose(overrides: StoreOverrides = {}): Promise<Finding[]> {
  return diagnosePostgres(table.storeOptions(overrides))
}

describe('an error, and the store does not open', () => {
  test.each<[string, string, string, string]>([
    [
      'a view of two tables',
      'CREATE VIEW joined AS SELECT o.* FROM orders o LEFT JOIN audit a ON a.order_id = o.id::text',
      'joined',
      '55000',
    ],
    [
      'a materialized view',
      'CREATE MATERIALIZED VIEW copy AS SELECT * FROM orders; CREATE UNIQUE INDEX ON copy (id)',
      'copy',
      '42809',
    ],
  ])('%s', async (_, sql, name, state) => {
    await table.pool.query(sql)
    const options = { settings: { ORDERS_TABLE: `${table.schema}.${name}` } }
    await migratePostgres(table.storeOptions(options), { dryRun: false })
    const findings = await diagnose(options)
    expect(ofCode(findings, 'store-table')).toEqual([['error', expect.stringContaining(`(SQLSTATE ${state})`)]])
    expect(JSON.stringify(findings)).not.toContain('could not be checked')
    await expect(PostgresStore.open(table.storeOptions(options))).rejects.toThrow(state)
  })

  test.each<[string, string, string, string]>([
    [
      'a status column without room for the status',
      'DROP TRIGGER audit ON orders; ALTER TABLE orders ALTER COLUMN status TYPE varchar(8)',
      'orders',
      'ORDERS_CANCELLED_STATUS: expected up to 8 characters',
    ],
    [
      'a generated status',
      `CREATE TABLE generated (id bigint PRIMARY KEY, paid_at timestamptz, cancelled_at timestamptz,
         payment_deadline timestamptz, status text GENERATED ALWAYS AS ('pending') STORED)`,
      'generated',
      'ORDERS_STATUS_COLUMN: expected a column that can be written',
    ],
  ])('that names the setting: %s', async (_, sql, name, problem) => {
    await table.pool.query(sql)
    const options = { settings: { ORDERS_TABLE: `${table.schema}.${name}` } }
    const findings = await diagnose(options)
    expect(ofCode(findings, 'store-table')).toEqual([['error', expect.stringContaining(problem)]])
    await expect(PostgresStore.open(table.storeOptions(options))).rejects.toThrow(problem)
  })
})

describe('a constraint', () => {
  const add = (condition: string) => table.pool.query(`ALTER TABLE orders ADD CONSTRAINT allowed CHECK (${condition})`)
  const cancelling = async () => {
    const store = await PostgresStore.open(table.storeOptions())
    try {
      return (await store.cancelUnpaid([{ orderId: '1', deadline: 0 }]))[0]?.kind
    } catch (error) {
      return (error as Error).message
    } finally {
      await store.close()
    }
  }

  test.each([
    [`status IN ('pending', 'paid', 'canceled')`],
    [`status ~ '^[a-c]*$' OR status = 'pending'`],
    [`cancelled_at IS NULL OR status = 'canceled'`],
    [`status <> 'cancelled' OR note IS NOT NULL`],
  ])('that refuses every cancellation is an error: %s', async (condition) => {
    await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
    await add(condition)
    const findings = await diagnose()
    const errors = ofCode(findings, 'store-table')
    expect(errors).toHaveLength(1)
    expect(errors[0]?.[0]).toBe('error')
    expect(errors[0]?.[1]).toContain(`the constraint allowed does not take 'cancelled'`)
    expect(await cancelling()).toContain('SQLSTATE 23514')
    expect(await table.statusOf('1')).toBe('pending')
  })

  test.each([
    [`status IN ('pending', 'paid', 'cancelled')`],
    [`(status = 'cancelled') = (cancelled_at IS NOT NULL)`],
    [`status <> 'paid' OR paid_at IS NOT NULL`],
    [`note <> status`],
    [`note <> 'cancelled'`],
  ])('that lets orders be cancelled is none: %s', async (condition) => {
    await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
    await add(condition)
    expect(ofCode(await diagnose(), 'store-table')).toEqual([['ok', `"${table.schema}"."orders" matches the settings`]])
    expect(await cancelling()).toBe('cancelled')
  })

  test('that some orders violate says how many', async () => {
    await table.insert(['1', '2', '3'].map((id) => ({ id, deadline: Date.now() + 3_600_000 })))
    await table.pool.query(`UPDATE orders SET note = 'x' WHERE id > 1`)
    await add(`status <> 'cancelled' OR note IS NULL`)
    expect(ofCode(await diagnose(), 'store-table')[0]?.[1]).toMatch(/\(2 of the 3 unpaid orders checked\)$/)
  })

  test('to a table of statuses that has not ours is an error, until it has', async () => {
    await table.pool.query(`CREATE TABLE statuses (name text PRIMARY KEY); INSERT INTO statuses VALUES ('pending');
      ALTER TABLE orders ADD CONSTRAINT known FOREIGN KEY (status) REFERENCES statuses`)
    await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
    expect(ofCode(await diagnose(), 'store-table')).toEqual([
      ['error', expect.stringMatching(/^the constraint known does not take 'cancelled': .*statuses has no such name$/)],
    ])
    expect(await cancelling()).toContain('SQLSTATE 23503')
    await table.pool.query(`INSERT INTO statuses VALUES ('cancelled')`)
    expect(ofCode(await diagnose(), 'store-table')[0]?.[0]).toBe('ok')
    expect(await cancelling()).toBe('cancelled')
  })
})

test('a domain that does not take the status is an error, and only that; one that does is none', async () => {
  await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
  await table.pool.query(`DROP TRIGGER audit ON orders; CREATE DOMAIN state AS text CHECK (VALUE IN ('pending', 'canceled'));
    ALTER TABLE orders ALTER COLUMN status TYPE state`)
  const findings = await diagnose({ settings: { ORDERS_UNPAID_STATUSES: ['pending', 'new'] } })
  expect(findings.filter(({ level }) => level === 'error').map(({ code }) => code)).toEqual(['store-table'])
  expect(ofCode(findings, 'store-table')[0]?.[1]).toContain(`state does not take 'cancelled': `)
  const options = { settings: { ORDERS_CANCELLED_STATUS: 'canceled' } }
  const sound = await diagnose(options)
  expect(ofCode(sound, 'store-table')[0]?.[0]).toBe('ok')
  expect(ofCode(sound, 'store-statuses')[0]?.[0]).toBe('ok')
  for (const fix of fixesOf(sound, 'store-index')) await table.pool.query(fix)
  expect(ofCode(await diagnose(options), 'store-index')[0]?.[0]).toBe('ok')
  const store = await PostgresStore.open(table.storeOptions(options))
  expect(await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
  await store.close()
})

test(`the shop's own statement is an error if the database refuses it, and is not run`, async () => {
  const bad = await diagnose({
    settings: { cancelSql: 'UPDATE nowhere SET x = 1 WHERE id = ANY ($1) AND now() > ANY ($2)' },
  })
  expect(ofCode(bad, 'store-cancel-sql')).toEqual([['error', expect.stringContaining('(SQLSTATE 42P01)')]])
  await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
  const good = `UPDATE ${table.schema}.orders SET status = 'cancelled' WHERE true OR (id = ANY ($1::bigint[]) AND now() > ANY ($2::timestamptz[]))`
  expect(ofCode(await diagnose({ settings: { cancelSql: good } }), 'store-cancel-sql')[0]?.[0]).toBe('info')
  expect(await table.statusOf('1')).toBe('pending')
})

describe('a role that may create no table', () => {
  const role = uniqueName('clerk')
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

  test('is told to have another outbox made where that has other columns', async () => {
    await table.pool.query(
      `ALTER TABLE order_expiry_outbox DROP COLUMN data; GRANT USAGE ON SCHEMA ${table.schema} TO ${role}`,
    )
    const url = databaseUrl().replace('postgres@', `${role}:geheim@`)
    const findings = await diagnose({ settings: { DATABASE_URL: url } })
    expect(fixesOf(findings, 'store-outbox')).toEqual(['OUTBOX_TABLE=order_expiry_events'])
  })

  test('is given the statements for an outbox that is missing; with them, orders are cancelled', async () => {
    await table.pool.query(`DROP TABLE order_expiry_outbox, order_expiry_tables; DROP TRIGGER audit ON orders;
      GRANT USAGE ON SCHEMA ${table.schema} TO ${role}; GRANT SELECT, UPDATE ON orders TO ${role}`)
    const url = databaseUrl().replace('postgres@', `${role}:geheim@`)
    const fixes = fixesOf(await diagnose({ settings: { DATABASE_URL: url } }), 'store-outbox')
    expect(fixes).not.toContain('order-expiry migrate')
    for (const fix of fixes) await table.pool.query(fix)
    const left = ['store-index', 'store-late-index', 'store-late-payments'] // without which it cancels all the same
    expect(complaints(await diagnose({ settings: { DATABASE_URL: url } }))).toEqual(left)
    await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
    const store = await PostgresStore.open(table.storeOptions({ settings: { DATABASE_URL: url } }))
    expect(await store.cancelUnpaid([{ orderId: '1', deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
    await store.close()
    expect(await table.outbox()).toHaveLength(1)
  })
})
