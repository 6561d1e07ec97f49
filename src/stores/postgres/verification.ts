import type pg from 'pg'
import { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'
import type { OrdersColumns, OrdersMapping } from './columns.ts'
import type { Database } from './diagnosis/database.ts'
import { lookAtIndexes } from './diagnosis/indexes.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { OUTBOX_TABLE, outboxTable } from './statements.ts'

/** @throws {OrderExpiryError} OUTBOX_MISSING */
export async function verifyOutbox(table: { database: Database; columns: OrdersColumns }): Promise<void> {
  const { database, columns } = table
  const { rows } = await database.query('SELECT to_regclass($1) IS NOT NULL AS there', [outboxTable(columns)])
  if (z.object({ there: z.boolean() }).parse(rows[0]).there) return
  throw new OrderExpiryError(
    'OUTBOX_MISSING',
    `expected the table ${columns.schema}.${OUTBOX_TABLE}, but it is missing: run \`order-expiry migrate\``,
  )
}

/** Runs the shop's own statement with no orders, which changes nothing. @throws {OrderExpiryError} STORE_MISMATCH */
export async function verifyShopSql(shop: { database: pg.PoolClient; cancelSql: string }): Promise<void> {
  const { database, cancelSql } = shop
  const { fields } = await database.query(cancelSql, [[], []]).catch((cause: unknown) => {
    // Of a pooler, 08P01 is an outage; of a statement just written, that it takes other parameters.
    if (sqlStateOf(cause) !== '08P01') throw cause
    throw new OrderExpiryError('STORE_MISMATCH', `CANCEL_SQL_FILE: ${asStoreError(cause).message}`, { cause })
  })
  const missing = ['id', 'outcome', 'until'].filter((name) => !fields.some((field) => field.name === name))
  if (missing.length > 0) {
    throw new OrderExpiryError(
      'STORE_MISMATCH',
      `CANCEL_SQL_FILE: expected the columns id, outcome and until; ${missing.join(' and ')} missing`,
    )
  }
}

/** Tells of what keeps the sweeper from doing its part. */
export async function noticeSweep(
  table: { database: Database; columns: OrdersColumns; mapping: OrdersMapping },
  onNotice: (notice: string) => void,
): Promise<void> {
  if (!table.columns.deadline) {
    onNotice('ORDERS_DEADLINE_COLUMN is empty: orders whose jobs are lost cannot be found by the sweep')
    return
  }
  for (const { level, what, meaning, fix = '' } of await lookAtIndexes({ ...table, watchesPayments: false })) {
    if (level !== 'warning') continue
    const statements = fix.split('\n').filter((line) => !line.startsWith('#'))
    onNotice(`an index for the sweep: ${what}. ${meaning} ${statements.join(' ')}`)
  }
}
