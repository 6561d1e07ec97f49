import { afterEach, describe, expect, test } from '@jest/globals'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

const past = () => Date.now() - 1_000
const opened: { store: PostgresStore; table: OrdersTable }[] = []

/** Our own statement, or one that the shop has written. */
const STATEMENTS = {
  ours: undefined,
  "the shop's": (schema: string) => `
    UPDATE ${schema}.orders o SET status = 'cancelled', cancelled_at = now() FROM unnest($1::bigint[], $2::timestamptz[]) AS c (id, deadline)
    WHERE o.id = c.id AND o.status = 'pending' AND o.payment_deadline <= now() RETURNING o.id, 'cancelled' AS outcome, NULL::timestamptz AS until`,
}

/** A condition that waits for a lock at order 1. */
const HELD = `
  CREATE FUNCTION held(id bigint) RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN
    IF id = 1 THEN PERFORM pg_advisory_xact_lock(4712); END IF; RETURN true; END $$`

async function openShop(
  statement: keyof typeof STATEMENTS | ((schema: string) => string) = 'ours',
  { isHeld = false } = {},
) {
  const cancelSqlOf = typeof statement === 'string' ? STATEMENTS[statement] : statement
  const table = await OrdersTable.create({ hasTrigger: false })
  await table.pool.query(
    'ALTER TABLE orders ADD COLUMN payment text, ADD COLUMN method int, ADD COLUMN amount numeric(12, 2)',
  )
  await table.pool.query(HELD)
  await table.migrate()
  const store = await PostgresStore.open(
    table.storeOptions({
      settings: {
        ORDERS_CONDITION: isHeld ? `"${table.schema}".held(id)` : undefined,
        ORDERS_PAYMENT_COLUMN: 'payment',
        ORDERS_METHOD_COLUMN: 'method',
        ORDERS_AMOUNT_COLUMN: 'amount',
        cancelSql: cancelSqlOf?.(table.schema),
      },
    }),
  )
  opened.push({ store, table })
  const pays = (id: number, payment: string | null) =>
    table.pool.query('UPDATE orders SET payment = $2, method = 3, amount = 19.9 WHERE id = $1', [id, payment])
  return { table, store, pays }
}

afterEach(async () => {
  for (const { store, table } of opened.splice(0)) {
    await store.close()
    await table.drop()
  }
})

const check = (orderId: string, closed?: string) => ({ orderId, deadline: 0, closed })

describe.each(Object.keys(STATEMENTS) as (keyof typeof STATEMENTS)[])('by %s statement', (statement) => {
  test('an order whose payment is open is not cancelled, and names it; those beside it are cancelled', async () => {
    const { table, store, pays } = await openShop(statement)
    await table.insert(['1', '2', '3', '4'].map((id) => ({ id, deadline: past() })))
    await table.insert([{ id: '5', deadline: Date.now() + 3_600_000 }])
    await pays(2, 'pi_2')
    await pays(3, '')
    await pays(5, 'pi_5')
    const payable = {
      ...{ kind: 'postponed', reason: 'payment' },
      payment: { reference: 'pi_2', method: '3', amount: '19.90' },
      evidence: { status: 'pending' },
    }
    const checks = ['1', '2', '3', '4', '5'].map((id) => check(id))
    const expected = [
      { kind: 'cancelled' },
      payable,
      { kind: 'cancelled' },
      { kind: 'cancelled' },
      { reason: 'not-due' },
    ]
    if (statement === 'ours') expect(await store.cancelUnpaid(checks, { dryRun: true })).toMatchObject(expected)
    expect(await store.cancelUnpaid(checks)).toMatchObject(expected)
    expect(await table.statusOf('2')).toBe('pending')
    expect(await table.outbox()).toHaveLength(3)
    expect(await store.find(['2', '4'])).toMatchObject([{ payment: payable.payment }, { payment: undefined }])
  })

  test('only the payment that was closed is no longer in the way', async () => {
    const { table, store, pays } = await openShop(statement)
    await table.insert(['1', '2'].map((id) => ({ id, deadline: past() })))
    await pays(1, 'pi_1')
    await pays(2, 'pi_2_again')
    const checks = [check('1', 'pi_1'), check('2', 'pi_2')]
    expect(await store.cancelUnpaid(checks)).toMatchObject([{ kind: 'cancelled' }, { reason: 'payment' }])
    expect(await store.cancelUnpaid([check('2', 'pi_2_again')])).toMatchObject([{ kind: 'cancelled' }])
  })

  test('a paid order stays paid, whatever its payment', async () => {
    const { table, store, pays } = await openShop(statement)
    await table.insert([{ id: '1', deadline: past(), status: 'paid' }])
    await pays(1, 'pi_1')
    expect(await store.cancelUnpaid([check('1')])).toMatchObject([{ kind: 'kept', status: 'paid' }])
  })

  test('a payment that begins after the statement has looked, and before it has the row, keeps the order', async () => {
    // Holds whoever looks at order 1, in a statement that has its snapshot by then.
    const { table, store } = await openShop(statement, { isHeld: true })
    await table.insert(['1', '2'].map((id) => ({ id, deadline: past() })))
    const holder = await table.pool.connect()
    await holder.query('SELECT pg_advisory_lock(4712)')
    const cancelling = store.cancelUnpaid([check('1'), check('2')])
    await eventually('the statement waits', async () => {
      const { rowCount } = await holder.query(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'`)
      return rowCount === 1
    })
    const beginning = table.pool.query(`UPDATE orders SET payment = 'pi_2' WHERE id = 2 AND status = 'pending'`)
    if (statement === 'ours') await beginning // for the shop's, we have locked the rows by now, and the buyer comes too late
    await holder.query('SELECT pg_advisory_unlock(4712)')
    holder.release()
    const [outcomes, { rowCount }] = await Promise.all([cancelling, beginning])
    expect(rowCount).toBe(statement === 'ours' ? 1 : 0)
    expect(outcomes).toMatchObject([{ kind: 'cancelled' }, { kind: rowCount === 1 ? 'postponed' : 'cancelled' }])
    expect(await table.statusOf('2')).toBe(rowCount === 1 ? 'pending' : 'cancelled')
    if (rowCount === 1) expect(await store.cancelUnpaid([check('2')])).toMatchObject([{ reason: 'payment' }])
  })
})

describe("whatever the shop's statement does", () => {
  const cancelSql = (schema: string, { set = '', due = 'true' }) => `
    UPDATE ${schema}.orders o SET status = 'cancelled'${set} FROM unnest($1::bigint[], $2::timestamptz[]) AS c (id, deadline)
    WHERE o.id = c.id AND o.status = 'pending' AND ${due} RETURNING o.id, 'cancelled' AS outcome, NULL::timestamptz AS until`

  test('a payment that a transaction under way has written is not overwritten unseen', async () => {
    const { table, store } = await openShop((schema) => cancelSql(schema, { set: ', payment = NULL' }))
    await table.insert([{ id: '1', deadline: past() }])
    const buyer = await table.pool.connect()
    await buyer.query(`BEGIN; UPDATE orders SET payment = 'pi_new' WHERE id = 1 AND status = 'pending'`)
    expect(await store.cancelUnpaid([check('1')])).toMatchObject([{ kind: 'postponed' }])
    await buyer.query('COMMIT')
    buyer.release()
    expect(await store.cancelUnpaid([check('1')])).toMatchObject([
      { reason: 'payment', payment: { reference: 'pi_new' } },
    ])
    expect(await table.statusOf('1')).toBe('pending')
  })

  test('an order that it takes for due before we do is not cancelled with an open payment', async () => {
    const { table, store, pays } = await openShop((schema) => cancelSql(schema, {}))
    await table.insert([{ id: '1', deadline: Date.now() + 3_600_000 }])
    await pays(1, 'pi_1')
    expect(await store.cancelUnpaid([check('1')])).toMatchObject([{ reason: 'payment' }])
    expect(await table.statusOf('1')).toBe('pending')
  })
})

test('a table without such a column has nothing to be closed', async () => {
  const table = await OrdersTable.create()
  await table.migrate()
  const store = await PostgresStore.open(table.storeOptions())
  opened.push({ store, table })
  await table.insert([{ id: '1', deadline: past() }])
  expect(await store.cancelUnpaid([check('1', 'pi_1')])).toMatchObject([{ kind: 'cancelled' }])
})
