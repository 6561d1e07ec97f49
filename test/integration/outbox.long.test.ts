import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { OrderExpiry } from '../../src/index.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { databaseUrl, redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { openShop } from '../helpers/open-shop.ts'
import type { OrdersTable } from '../helpers/orders-table.ts'
import { Random } from '../helpers/random.ts'

/* The statements of docs/outbox.md, as they are there, while transactions commit in another order than that of the ids. */

const ORDERS = 1_500
const docs = readFileSync(resolve('docs/outbox.md'), 'utf8')
const TAKE = statement('WITH taken')
const NOTE = statement('WITH fresh')
/** What the docs warn of. */
const BY_LAST_ID = 'SELECT id, event_id FROM order_expiry_outbox WHERE id > $1 ORDER BY id LIMIT 100'

/** The statement of the docs that begins like this; each has a block of its own. */
function statement(beginning: string): string {
  const blocks = [...docs.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, sql = '']) => sql)
  const [found, ...others] = blocks.filter((sql) => sql.startsWith(beginning))
  if (!found || others.length > 0) throw new Error(`expected docs/outbox.md to have one statement "${beginning} …"`)
  return found
}

let table: OrdersTable
let env: Record<string, string>
beforeEach(async () => {
  ;({ table, env } = await openShop())
})

/** A role for a reader that deletes, with the grants of the docs. */
async function createTaker(): Promise<pg.Pool> {
  const role = uniqueName('taker')
  const grants = statement('CREATE ROLE').replaceAll('order_events', role)
  return createReader(role, grants.replace('SCHEMA public', `SCHEMA ${table.schema}`))
}

/** A role for a reader that may not delete, with a table of its own. */
async function createNoter(): Promise<pg.Pool> {
  const role = uniqueName('noter')
  await table.pool.query(statement('CREATE TABLE'))
  return createReader(
    role,
    `CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${table.schema} TO ${role};
     GRANT SELECT ON order_expiry_outbox TO ${role}; GRANT SELECT, INSERT ON billing_events TO ${role}`,
  )
}

async function createReader(role: string, grants: string): Promise<pg.Pool> {
  await table.pool.query(grants)
  const url = new URL(databaseUrl())
  url.username = role
  const pool = new pg.Pool({ connectionString: url.href, options: `-c search_path=${table.schema}` })
  closing.push(async () => {
    await pool.end()
    await table.pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })
  return pool
}

interface Event {
  event_id: string
  order_id: string
}

interface Reading {
  /** Ends once nothing is left to read. @returns the ids of the events that it has handed on and committed */
  stop(): Promise<string[]>
}

/** Reads as the docs say, and dies now and then before it commits. */
function read(pool: pg.Pool, options: { sql: string; seed: number }): Reading {
  const random = new Random(options.seed)
  return readOn(async () => {
    const client = await pool.connect()
    await client.query('BEGIN')
    const { rows } = await client.query<Event>(options.sql)
    const dies = random.between(1, 10) === 1
    if (!dies) await client.query('COMMIT')
    client.release(dies) // true: the connection is closed, within its transaction
    return { seen: rows.length, given: dies ? [] : rows }
  })
}

function readByLastId(pool: pg.Pool): Reading {
  let last = '0'
  return readOn(async () => {
    const { rows } = await pool.query<Event & { id: string }>(BY_LAST_ID, [last])
    last = rows.at(-1)?.id ?? last
    return { seen: rows.length, given: rows }
  })
}

function readOn(step: () => Promise<{ seen: number; given: Event[] }>): Reading {
  const all: string[] = []
  let isStopping = false
  const loop = (async () => {
    for (;;) {
      const wasStopping = isStopping
      const { seen, given } = await step()
      all.push(...given.map((event) => event.event_id))
      if (seen === 0 && wasStopping) return all
      if (seen === 0) await new Promise((next) => setTimeout(next, 2))
    }
  })()
  loop.catch(() => {}) // it is thrown by stop
  return {
    stop() {
      isStopping = true
      return loop
    },
  }
}

/** Two daemons cancel all orders, in transactions that take long after their events got ids. @returns the ids of the events */
async function cancelAll(): Promise<string[]> {
  await table.pool.query(`
    CREATE TABLE written (event_id text);
    CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO ${table.schema}.written VALUES (NEW.event_id); RETURN NULL; END $$;
    CREATE TRIGGER write_down AFTER INSERT ON order_expiry_outbox FOR EACH ROW EXECUTE FUNCTION write_down();
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_sleep(random() * 0.1); RETURN NULL; END $$;
    CREATE TRIGGER dawdle AFTER UPDATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION dawdle()`)
  const orders = Array.from({ length: ORDERS }, (_, i) => ({ id: `${i + 1}`, deadline: Date.now() + 4_000 }))
  await table.insert(orders)
  const daemonEnv = { ...env, BATCH_SIZE: '20' }
  for (const daemon of await Promise.all([DaemonProcess.start(daemonEnv), DaemonProcess.start(daemonEnv)]))
    closing.push(() => daemon.stop())
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: env.QUEUE_NAME ?? '' })
  closing.push(() => shop.close())
  await shop.scheduleMany(orders.map(({ id, deadline }) => ({ orderId: id, deadline })))
  return eventually(
    'every order is cancelled',
    async () => {
      const { rows } = await table.pool.query<{ event_id: string }>('SELECT event_id FROM written')
      return rows.length >= ORDERS && rows.map((row) => row.event_id)
    },
    30_000,
  )
}

describe('beside two daemons with slow triggers', () => {
  test('two readers that delete lose no event, and give none twice', async () => {
    const pool = await createTaker()
    const readers = [1, 2].map((seed) => read(pool, { sql: TAKE, seed }))
    const events = await cancelAll()
    const given = await Promise.all(readers.map((reader) => reader.stop()))
    expect(given.flat().sort()).toEqual(events.sort())
    expect(await table.outbox()).toEqual([])
    expect(given.filter((ids) => ids.length === 0)).toEqual([]) // each took some
  })

  test('two readers that may not delete lose none either; one that remembers the last id does', async () => {
    const pool = await createNoter()
    const readers = [1, 2].map((seed) => read(pool, { sql: NOTE, seed }))
    const careless = readByLastId(pool)
    const events = await cancelAll()
    const given = await Promise.all(readers.map((reader) => reader.stop()))
    expect(given.flat().sort()).toEqual(events.sort())
    expect(new Set(await careless.stop()).size).toBeLessThan(events.length)
  })
})

describe('an event that commits after a later one', () => {
  /** Order 1 has its event, and the transaction stays open until it is released; order 2 is cancelled meanwhile. */
  async function cancelInReverse(): Promise<{ release: () => Promise<void> }> {
    await table.pool.query(`
      CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock(4712); RETURN NULL; END $$;
      CREATE TRIGGER hold AFTER UPDATE ON orders FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION hold()`)
    await table.insert(['1', '2'].map((id) => ({ id, deadline: Date.now() - 1_000 })))
    const store = await PostgresStore.open(table.storeOptions())
    closing.push(() => store.close())
    const holder = await table.pool.connect()
    await holder.query('SELECT pg_advisory_lock(4712)')
    const first = store.cancelUnpaid([{ orderId: '1', deadline: 0 }])
    await eventually('the first waits in the trigger', async () => {
      const { rowCount } = await holder.query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted`,
      )
      return rowCount === 1
    })
    expect(await store.cancelUnpaid([{ orderId: '2', deadline: 0 }])).toMatchObject([{ kind: 'cancelled' }])
    return {
      async release() {
        await holder.query('SELECT pg_advisory_unlock(4712)')
        holder.release()
        expect(await first).toMatchObject([{ kind: 'cancelled' }])
      },
    }
  }

  const orderIds = ({ rows }: { rows: Event[] }) => rows.map((event) => event.order_id)

  test('is skipped by the last id, and by neither statement of the docs', async () => {
    const [taker, noter] = [await createTaker(), await createNoter()]
    const { release } = await cancelInReverse()
    const { rows } = await noter.query(BY_LAST_ID, [0])
    expect(rows).toHaveLength(1)
    expect(orderIds(await noter.query(NOTE))).toEqual(['2'])
    await release()
    expect((await noter.query(BY_LAST_ID, [rows[0].id])).rows).toEqual([])
    expect(orderIds(await noter.query(NOTE))).toEqual(['1'])
    expect(orderIds(await noter.query(NOTE))).toEqual([])
    expect(orderIds(await taker.query(TAKE))).toEqual(['1', '2'])
  })

  test('is taken once it is committed', async () => {
    const taker = await createTaker()
    const { release } = await cancelInReverse()
    expect(orderIds(await taker.query(TAKE))).toEqual(['2'])
    await release()
    expect(orderIds(await taker.query(TAKE))).toEqual(['1'])
    expect(orderIds(await taker.query(TAKE))).toEqual([])
  })
})

test('old events and the notes of them go, and nothing else', async () => {
  const noter = await createNoter()
  await table.insert(['1', '2'].map((id) => ({ id, deadline: Date.now() - 1_000 })))
  const store = await PostgresStore.open(table.storeOptions())
  closing.push(() => store.close())
  await store.cancelUnpaid(['1', '2'].map((orderId) => ({ orderId, deadline: 0 })))
  await noter.query(NOTE)
  await table.pool.query(`UPDATE order_expiry_outbox SET created_at = now() - interval '8 days' WHERE order_id = '1'`)
  for (const beginning of ['DELETE FROM order_expiry_outbox', 'DELETE FROM billing_events'])
    await table.pool.query(statement(beginning))
  const { rows } = await table.pool.query(
    'SELECT order_id FROM billing_events JOIN order_expiry_outbox USING (event_id)',
  )
  expect(rows).toEqual([{ order_id: '2' }])
  expect((await table.pool.query('SELECT FROM billing_events')).rowCount).toBe(1)
})

test('the reader that deletes may do nothing else', async () => {
  const taker = await createTaker()
  for (const sql of [
    'SELECT FROM orders',
    `INSERT INTO order_expiry_outbox (type, order_id, data) VALUES ('order.cancelled', '1', '{}')`,
    `UPDATE order_expiry_outbox SET type = ''`,
    'TRUNCATE order_expiry_outbox',
  ])
    await expect(taker.query(sql)).rejects.toMatchObject({ code: '42501' })
})
