import { describe, expect, test } from '@jest/globals'
import type { Outcome } from '../../src/order/order.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { uniqueName } from '../helpers/env.ts'
import { OrdersTable, type StoreOverrides } from '../helpers/orders-table.ts'

const past = () => Date.now() - 1_000
const checks = (...ids: number[]) => ids.map((id) => ({ orderId: `${id}`, deadline: past() }))

/** Four due orders; `act` puts up what acts on the first two. */
async function openTable(act: (schema: string) => string): Promise<OrdersTable> {
  const table = await OrdersTable.create({ hasTrigger: false })
  closing.push(() => table.drop())
  await table.migrate()
  await table.pool.query('ALTER TABLE orders ADD COLUMN version int NOT NULL DEFAULT 0')
  await table.insert([1, 2, 3, 4].map((id) => ({ id: `${id}`, deadline: past() })))
  await table.pool.query(act(table.schema))
  return table
}

async function openStore(table: OrdersTable, settings: StoreOverrides['settings'] = {}): Promise<PostgresStore> {
  const options = { settings: { ORDERS_SET: 'version = version + 1', ...settings } }
  const store = await PostgresStore.open(table.storeOptions(options))
  closing.push(() => store.close())
  return store
}

/** Everything in the rows of the first two, and which versions of the rows these are. */
const rowsOf = async ({ pool }: OrdersTable) =>
  (
    await pool
      .query(`SELECT o.*, o.ctid FROM orders o WHERE id <= 2 ORDER BY id`)
      .catch(() => pool.query('SELECT k.*, k.ctid FROM kept k WHERE id <= 2 ORDER BY id'))
  ).rows

const kindsOf = (outcomes: readonly Outcome[]) => outcomes.map(({ kind }) => kind)
const eventsOf = async (table: OrdersTable) => (await table.outbox()).map(({ order_id }) => order_id).sort()

const trigger = (when: string, body: string) => (schema: string) =>
  `
  CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SET search_path = ${schema} AS $$ BEGIN
    IF NEW.id <= 2 AND NEW.status = 'cancelled' THEN ${body} END IF; RETURN NEW; END $$;
  CREATE ${when.includes('DEFERRED') ? 'CONSTRAINT ' : ''}TRIGGER meddle ${when} FOR EACH ROW EXECUTE FUNCTION meddle()`

const PUT_BACK = `UPDATE orders SET status = 'pending' WHERE id = NEW.id;`
const VIEW = `ALTER TABLE orders RENAME TO kept; CREATE VIEW orders AS SELECT * FROM kept;`

describe('what the statement has really written decides', () => {
  test.each<[string, (schema: string) => string]>([
    ['a trigger gives the status back', trigger('BEFORE UPDATE ON orders', 'NEW.status := OLD.status;')],
    ['a trigger writes another status', trigger('BEFORE UPDATE ON orders', `NEW.status := 'shipped';`)],
    ['a trigger leaves the row as it is', trigger('BEFORE UPDATE ON orders', 'RETURN NULL;')],
    ['a trigger puts the status back afterwards', trigger('AFTER UPDATE ON orders', PUT_BACK)],
    [
      'a trigger puts the status back at the commit',
      trigger('AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED', PUT_BACK),
    ],
    [
      'a trigger of a view changes nothing',
      (schema) => `${VIEW}
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SET search_path = ${schema} AS $$ BEGIN
          IF NEW.id > 2 THEN UPDATE kept SET status = NEW.status, version = NEW.version WHERE id = NEW.id; END IF;
          RETURN NEW; END $$;
        CREATE TRIGGER meddle INSTEAD OF UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION meddle()`,
    ],
    [
      'a trigger of the table beneath a view gives the status back',
      (schema) => `${trigger('BEFORE UPDATE ON orders', 'NEW.status := OLD.status;')(schema)}; ${VIEW}`,
    ],
  ])('%s: that order is rejected by name, nothing of it changes, the others are cancelled', async (_, act) => {
    const table = await openTable(act)
    const store = await openStore(table)
    const before = await rowsOf(table)
    for (const attempt of [1, 2]) {
      const outcomes = await store.cancelUnpaid(checks(1, 3, 2, 4))
      expect(kindsOf(outcomes)).toEqual(
        attempt === 1 ? ['rejected', 'cancelled', 'rejected', 'cancelled'] : ['rejected', 'kept', 'rejected', 'kept'],
      )
      for (const outcome of [outcomes[0], outcomes[2]]) {
        expect(outcome).toMatchObject({
          error: { code: 'STORE_REJECTED', message: expect.stringContaining('trigger meddle on') },
          evidence: { status: 'pending' },
        })
      }
    }
    expect(await rowsOf(table)).toEqual(before)
    expect(await eventsOf(table)).toEqual(['3', '4'])
    expect((await table.pool.query('SELECT version FROM orders WHERE id > 2')).rows).toEqual([
      { version: 1 },
      { version: 1 },
    ])
  })

  test('no event is written for it either where the outbox takes any', async () => {
    const table = await openTable(trigger('BEFORE UPDATE ON orders', 'RETURN NULL;'))
    await table.pool.query('ALTER TABLE order_expiry_outbox ALTER type DROP NOT NULL')
    const store = await openStore(table)
    expect(kindsOf(await store.cancelUnpaid(checks(1, 3)))).toEqual(['rejected', 'cancelled'])
    expect(await eventsOf(table)).toEqual(['3'])
  })

  test.each<[string, string, string]>([
    ['comes', '', ''],
    ['is switched on', 'ALTER TABLE orders DISABLE TRIGGER meddle', 'ALTER TABLE orders ENABLE TRIGGER meddle'],
  ])('a trigger that %s while the store is open is noticed at once', async (_, before, then) => {
    const meddle = trigger('AFTER UPDATE ON orders', PUT_BACK)
    const table = await openTable((schema) => (before ? `${meddle(schema)}; ${before}` : ''))
    const store = await openStore(table)
    expect(kindsOf(await store.cancelUnpaid(checks(4)))).toEqual(['cancelled'])
    await table.pool.query(then || meddle(table.schema))
    const outcomes = await store.cancelUnpaid(checks(1, 3))
    expect(kindsOf(outcomes)).toEqual(['rejected', 'cancelled'])
    expect(outcomes[0]).toMatchObject({ error: { message: expect.stringContaining('trigger meddle on') } })
    expect(await eventsOf(table)).toEqual(['3', '4'])
  })

  test('a trigger of the partition to which the status moves a row is looked at', async () => {
    const table = await openTable(
      (schema) => `ALTER TABLE orders RENAME TO kept;
        CREATE TABLE orders (LIKE kept) PARTITION BY LIST (status);
        CREATE TABLE open PARTITION OF orders FOR VALUES IN ('pending');
        CREATE TABLE closed PARTITION OF orders DEFAULT;
        INSERT INTO orders SELECT * FROM kept;
        ${trigger('AFTER INSERT ON closed', PUT_BACK)(schema)};
        CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF OLD.id = 3 THEN RETURN NULL; END IF; RETURN OLD; END $$;
        CREATE TRIGGER stay BEFORE DELETE ON open FOR EACH ROW EXECUTE FUNCTION stay()`,
    )
    const store = await openStore(table)
    const outcomes = await store.cancelUnpaid(checks(1, 3, 2, 4))
    expect(kindsOf(outcomes)).toEqual(['rejected', 'rejected', 'rejected', 'cancelled'])
    expect(outcomes[1]).toMatchObject({ error: { message: expect.stringContaining('trigger stay on') } })
    expect(await eventsOf(table)).toEqual(['4'])
  })

  test('a column that has become a timestamp is not read in the zone of the session: nothing is cancelled', async () => {
    const table = await openTable(() => '')
    const store = await openStore(table)
    expect(kindsOf(await store.cancelUnpaid(checks(4)))).toEqual(['cancelled'])
    await table.pool.query(
      `ALTER TABLE orders ALTER payment_deadline TYPE timestamp USING payment_deadline AT TIME ZONE 'Asia/Shanghai'`,
    )
    const changed = {
      code: 'STORE_MISMATCH',
      message: expect.stringMatching(/payment_deadline timestamp without.*restart/),
    }
    await table.pool.query("UPDATE orders SET payment_deadline = '2020-01-01'")
    await expect(store.cancelUnpaid(checks(1, 3))).rejects.toMatchObject(changed)
    await expect(store.ping()).rejects.toMatchObject(changed)
    expect(await eventsOf(table)).toEqual(['4'])
  })

  test('a trigger that archives what is cancelled has not undone it', async () => {
    const archive = trigger(
      'AFTER UPDATE ON orders',
      'INSERT INTO archive SELECT * FROM orders WHERE id = NEW.id; DELETE FROM orders WHERE id = NEW.id;',
    )
    const table = await openTable((schema) => `CREATE TABLE archive (LIKE orders); ${archive(schema)}`)
    const store = await openStore(table)
    expect(kindsOf(await store.cancelUnpaid(checks(1, 3)))).toEqual(['cancelled', 'cancelled'])
    expect(await eventsOf(table)).toEqual(['1', '3'])
  })

  test('a rule that leaves nothing to look at is refused at the start', async () => {
    const table = await openTable(
      () => `CREATE RULE meddle AS ON UPDATE TO orders WHERE OLD.id <= 2 DO INSTEAD NOTHING`,
    )
    await expect(openStore(table)).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  })

  test('so is a role that may not cancel, whether or not there is a trigger', async () => {
    const role = uniqueName('role')
    const table = await openTable(
      (schema) => `CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${role};
      GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
    )
    closing.push(() => table.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
    const url = new URL(table.settings.DATABASE_URL as string)
    url.username = role
    const refused = { code: 'STORE_REFUSED', message: expect.stringContaining('permission denied') }
    await expect(openStore(table, { DATABASE_URL: url.href })).rejects.toMatchObject(refused)
    await table.pool.query(trigger('AFTER UPDATE ON orders', '')(table.schema))
    await expect(openStore(table, { DATABASE_URL: url.href })).rejects.toMatchObject(refused)
  })

  test("the shop's own statement is held to it as well", async () => {
    const table = await openTable(trigger('AFTER UPDATE ON orders', PUT_BACK))
    const cancelSql = `UPDATE ${table.schema}.orders SET status = 'cancelled' WHERE id = ANY ($1::text[]::bigint[])
      AND status = 'pending' AND $2::timestamptz[] IS NOT NULL
      RETURNING id::text, 'cancelled' AS outcome, NULL::timestamptz AS until`
    const store = await openStore(table, { cancelSql, ORDERS_SET: undefined })
    const before = await rowsOf(table)
    const outcomes = await store.cancelUnpaid(checks(1, 3, 2, 4))
    expect(kindsOf(outcomes)).toEqual(['rejected', 'cancelled', 'rejected', 'cancelled'])
    expect(outcomes[0]).toMatchObject({
      error: { code: 'STORE_REJECTED', message: expect.stringMatching(/CANCEL_SQL_FILE.*meddle/) },
    })
    expect(await rowsOf(table)).toEqual(before)
    expect(await eventsOf(table)).toEqual(['3', '4'])
  })
})

describe('row security', () => {
  /** @returns a store whose role sees all rows, and may change those but the first two */
  async function openRestricted(policy: string) {
    const role = uniqueName('role')
    const table = await openTable(
      (schema) => `
      CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${role};
      GRANT ALL ON ALL TABLES IN SCHEMA ${schema} TO ${role};
      ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
      CREATE POLICY see ON orders FOR SELECT USING (true); ${policy}`,
    )
    closing.push(() => table.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
    const url = new URL(table.settings.DATABASE_URL as string)
    url.username = role
    return { table, store: await openStore(table, { DATABASE_URL: url.href }) }
  }

  test('what may be seen but not changed is rejected; what is locked there stays locked', async () => {
    const { table, store } = await openRestricted('CREATE POLICY change ON orders FOR UPDATE USING (id > 2)')
    const before = await rowsOf(table)
    const payment = await table.pool.connect()
    await payment.query('BEGIN; SELECT FROM orders WHERE id = 3 FOR UPDATE')
    const outcomes = await store.cancelUnpaid(checks(1, 3, 2, 4))
    await payment.query('ROLLBACK')
    payment.release()
    expect(outcomes).toMatchObject([
      { kind: 'rejected', error: { code: 'STORE_REJECTED', message: expect.stringContaining('row security') } },
      { kind: 'postponed', reason: 'locked' },
      { kind: 'rejected' },
      { kind: 'cancelled' },
    ])
    expect(await rowsOf(table)).toEqual(before)
    expect(await eventsOf(table)).toEqual(['4'])
    expect(kindsOf(await store.cancelUnpaid(checks(3)))).toEqual(['cancelled'])
  })

  test('what may not be cancelled is refused by PostgreSQL, and not done in part', async () => {
    const { table, store } = await openRestricted(
      `CREATE POLICY change ON orders FOR UPDATE USING (true) WITH CHECK (id > 2 OR status <> 'cancelled')`,
    )
    await expect(store.cancelUnpaid(checks(1, 3))).rejects.toMatchObject({
      code: 'STORE_REFUSED',
      message: expect.stringContaining('row-level security'),
    })
    expect(await eventsOf(table)).toEqual([])
    expect(kindsOf(await store.cancelUnpaid(checks(3, 4)))).toEqual(['cancelled', 'cancelled'])
  })
})
