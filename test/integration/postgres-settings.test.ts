import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { migratePostgres } from '../../src/stores/postgres/migration.ts'
import type { PostgresSettings } from '../../src/stores/postgres/settings.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { diagnosePostgres } from '../helpers/diagnose-postgres.ts'
import { complaints, fixesOf } from '../helpers/findings.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

let shop: OrdersTable
beforeEach(async () => {
  shop = await OrdersTable.create({ hasTrigger: false, deadlineType: 'timestamp', paidAt: false })
})
afterEach(() => shop.drop())

const DUE = `INSERT INTO orders (id, payment_deadline, status) VALUES (1, now() AT TIME ZONE 'UTC' - interval '1 s', 'pending')`

async function migrate(settings: Partial<PostgresSettings> = {}): Promise<void> {
  await migratePostgres(shop.storeOptions({ settings }), { dryRun: false })
}

/** What becomes of order 1, by a check and in the events. */
async function cancel(settings: Partial<PostgresSettings> = {}) {
  await migrate(settings)
  const store = await PostgresStore.open(shop.storeOptions({ settings }))
  try {
    const [outcome] = await store.cancelUnpaid([{ orderId: '1', deadline: Date.now() }])
    return { outcome, events: (await store.eventsOf('1'))?.length }
  } finally {
    await store.close()
  }
}

describe('statuses of a domain', () => {
  test.each([
    ['an enum', `CREATE TYPE state AS ENUM ('pending', 'cancelled'); CREATE DOMAIN known AS state`],
    ['another domain', `CREATE DOMAIN word AS varchar(9); CREATE DOMAIN known AS word CHECK (VALUE <> '')`],
  ])('over %s are compared, written and indexed', async (_, sql) => {
    await shop.pool.query(`${sql}; ALTER TABLE orders ALTER status TYPE known USING status::known; ${DUE}`)
    await migrate()
    const look = () => diagnosePostgres(shop.storeOptions())
    for (const fix of fixesOf(await look(), 'store-index')) await shop.pool.query(fix.replace('CONCURRENTLY ', ''))
    const codes = complaints(await look())
    expect(codes).not.toContain('store-index')
    expect(codes).not.toContain('store-table')
    expect(await cancel()).toMatchObject({ outcome: { kind: 'cancelled' }, events: 1 })
  })

  test('that has no room for one is refused with the setting', async () => {
    await shop.pool.query(`CREATE DOMAIN word AS varchar(8); CREATE DOMAIN known AS word;
      ALTER TABLE orders ALTER status TYPE known`)
    await expect(migrate()).rejects.toThrow('ORDERS_CANCELLED_STATUS: expected up to 8 characters')
  })
})

describe('SQL of the shop', () => {
  test.each([
    { ORDERS_CONDITION: 'o.note IS NULL' },
    { ORDERS_CONDITION: 'o IS NOT NULL' },
    { ORDERS_SET: 'note = o.status' },
  ])('cannot name the table as some statements do: %j', async (settings) => {
    await expect(migrate(settings)).rejects.toThrow(/ORDERS_(CONDITION|SET): expected .* without the name of the table/)
  })

  test('without a status, assignments that end nothing are told of by doctor and on the order', async () => {
    await shop.pool.query(`ALTER TABLE orders ADD closed boolean DEFAULT false; ${DUE}`)
    const none = { ORDERS_STATUS_COLUMN: undefined, ORDERS_UNPAID_STATUSES: undefined, ORDERS_CONDITION: 'NOT closed' }
    const wrong = { ...none, ORDERS_SET: `note = 'expired'` }
    expect(await cancel(wrong)).toMatchObject({
      outcome: { kind: 'rejected', error: { message: expect.stringContaining('ORDERS_SET') } },
      events: 0,
    })
    const said = async (settings: Partial<PostgresSettings>) =>
      (await diagnosePostgres(shop.storeOptions({ settings }))).find(({ code }) => code === 'store-table')
    expect(await said(wrong)).toMatchObject({
      level: 'error',
      what: expect.stringContaining('ORDERS_SET does not end'),
    })
    expect(await said({ ...none, ORDERS_SET: 'closed = true' })).toMatchObject({ level: 'ok' })
  })
})

describe('OUTBOX_TABLE', () => {
  test.each(['orders', 'people'])('names no table of somebody else, and leaves it as it is: %s', async (name) => {
    await shop.pool.query('CREATE TABLE people (id int)')
    const columns = async () =>
      (await shop.pool.query(`SELECT attname FROM pg_attribute WHERE attrelid = '${name}'::regclass`)).rows
    const before = await columns()
    await expect(migrate({ OUTBOX_TABLE: name })).rejects.toThrow(/OUTBOX_TABLE: .* is there already, without event_id/)
    expect(await columns()).toEqual(before)
  })

  test('in a schema that is missing says so', async () => {
    await expect(migrate({ OUTBOX_TABLE: 'nowhere.events' })).rejects.toThrow('CREATE SCHEMA "nowhere"')
  })
})
