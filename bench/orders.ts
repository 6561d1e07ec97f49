import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { BenchOrder } from './contender.ts'
import type { Servers } from './servers.ts'

const ROWS_AT_ONCE = 10_000

/** Orders with these deadlines, in epoch milliseconds; `isPaid` by their place in the list. */
export function makeOrders(deadlines: readonly number[], isPaid: (index: number) => boolean): BenchOrder[] {
  return deadlines.map((deadline, index) => ({ orderId: randomUUID(), deadline, paid: isPaid(index) }))
}

/** Afterwards the table has a row for each, and statistics. */
export async function insertOrders(servers: Servers, orders: readonly BenchOrder[]): Promise<void> {
  await withDatabase(servers, async (database) => {
    for (let start = 0; start < orders.length; start += ROWS_AT_ONCE) {
      const rows = orders.slice(start, start + ROWS_AT_ONCE)
      await database.query(
        `INSERT INTO orders (id, status, paid_at, payment_deadline)
         SELECT id, CASE WHEN paid THEN 'paid' ELSE 'pending' END, CASE WHEN paid THEN now() END, to_timestamp(deadline / 1000)
         FROM unnest($1::text[], $2::bool[], $3::float8[]) AS o (id, paid, deadline)`,
        [rows.map(({ orderId }) => orderId), rows.map(({ paid }) => paid), rows.map(({ deadline }) => deadline)],
      )
    }
    await database.query('ANALYZE orders')
  })
}

/** What has become of orders. */
export interface Settled {
  /** When each cancelled order was cancelled, in epoch milliseconds. */
  cancelledAt: Map<string, number>
  /** Those that were cancelled though paid or not due yet, or are gone or in no known state. */
  harmed: Set<string>
}

/** Reads what has become of all orders in the table. */
export async function readSettled(servers: Servers, orders: readonly BenchOrder[]): Promise<Settled> {
  const { rows } = await withDatabase(servers, (database) =>
    database.query<{ id: string; status: string; paid: boolean; settled_at: number | null }>(
      `SELECT id, status, paid_at IS NOT NULL AS paid, (extract(epoch FROM settled_at) * 1000)::float8 AS settled_at FROM orders`,
    ),
  )
  const found = new Map(rows.map((row) => [row.id, row]))
  const cancelledAt = new Map<string, number>()
  const harmed = new Set<string>()
  for (const { orderId, deadline, paid } of orders) {
    const row = found.get(orderId)
    if (row?.status === 'cancelled' && !paid && !row.paid && row.settled_at !== null && row.settled_at >= deadline) {
      cancelledAt.set(orderId, row.settled_at)
    } else if (row?.status !== (paid ? 'paid' : 'pending') || row.paid !== paid) harmed.add(orderId)
  }
  return { cancelledAt, harmed }
}

export async function withDatabase<T>(servers: Servers, work: (database: pg.Client) => Promise<T>): Promise<T> {
  const database = new pg.Client({ connectionString: servers.databaseUrl })
  await database.connect()
  try {
    return await work(database)
  } finally {
    await database.end()
  }
}
