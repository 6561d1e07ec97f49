import type pg from 'pg'
import { OrderExpiryError } from '../../errors.ts'
import type { OrdersTable } from './columns.ts'
import { oneValue } from './database.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { missingIndexes } from './migration.ts'
import { OUTBOX_TABLE, outboxTable } from './outbox.ts'

/** @throws {OrderExpiryError} OUTBOX_MISSING */
export async function verifyOutbox({ database, columns }: OrdersTable): Promise<void> {
  if (await oneValue<boolean>(database, 'SELECT to_regclass($1) IS NOT NULL', [outboxTable(columns)])) return
  const expected = `expected the table ${columns.schema}.${OUTBOX_TABLE}, but it is missing`
  throw new OrderExpiryError('OUTBOX_MISSING', `${expected}: run \`order-expiry migrate\``)
}

/** Runs the shop's own statement with no orders, which changes nothing. @throws {OrderExpiryError} STORE_MISMATCH */
export async function verifyShopSql(database: pg.PoolClient, cancelSql: string): Promise<void> {
  const { fields } = await database.query(cancelSql, [[], []]).catch((cause: unknown) => {
    // From a pooler, 08P01 is an outage; from a statement just written, it says that it takes other parameters.
    if (sqlStateOf(cause) !== '08P01') throw cause
    throw new OrderExpiryError('STORE_MISMATCH', `CANCEL_SQL_FILE: ${asStoreError(cause).message}`, { cause })
  })
  const missing = ['id', 'outcome', 'until'].filter((name) => !fields.some((field) => field.name === name))
  if (missing.length === 0) return
  const message = `CANCEL_SQL_FILE: expected the columns id, outcome and until; ${missing.join(' and ')} missing`
  throw new OrderExpiryError('STORE_MISMATCH', message)
}

/** Reports what keeps the sweeper from doing its part. */
export async function noticeSweep(table: OrdersTable, onNotice: (notice: string) => void): Promise<void> {
  if (!table.columns.deadline) {
    onNotice('ORDERS_DEADLINE_COLUMN is empty: orders whose jobs are lost cannot be found by the sweep')
    return
  }
  for (const { why, fix } of await missingIndexes(table)) {
    onNotice(`an index for the sweep: ${why} ${fix.filter((line) => !line.startsWith('#')).join(' ')}`)
  }
}
