import type pg from 'pg'
import { OrderExpiryError } from '../../errors.ts'
import type { OrdersTable } from './columns.ts'
import { lookAtUnseenColumns } from './diagnosis/unseen-columns.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { missingIndexes } from './migration.ts'
import { firstSeen, missingRecords } from './outbox.ts'
import { whyNotUnique } from './uniqueness.ts'

/**
 * @param options.areDelivered whether events are to be delivered, for which an outbox of an earlier version lacks some columns
 * @returns when `migrate` first saw the table, in epoch milliseconds, and whether the outbox has these columns
 * @throws {OrderExpiryError} OUTBOX_MISSING
 */
export async function verifyRecords(
  table: OrdersTable,
  { areDelivered }: { areDelivered: boolean },
): Promise<{ firstSeen: number; hasDeliveries: boolean }> {
  const missing = await missingRecords(table)
  const hasDeliveries = missing.length === 0
  const isComplete = missing.every(({ isForDeliveries }) => isForDeliveries && !areDelivered)
  const seenAt = isComplete ? await firstSeen(table) : undefined
  if (seenAt !== undefined) return { firstSeen: seenAt, hasDeliveries }
  const { outbox, registry, name } = table.columns
  if (missing.length > 0 && missing.every(({ isForDeliveries }) => isForDeliveries)) {
    const message = `expected ${outbox} with the columns of deliveries, since events are to be sent; an earlier version has made it`
    throw new OrderExpiryError('OUTBOX_MISSING', `${message}: run \`order-expiry migrate\``)
  }
  const expected = `expected the tables ${outbox} and ${registry}, with an entry for ${name}; that is missing`
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
  const message = `CANCEL_SQL_FILE: expected the columns id, outcome and until; ${missing.join(' and ')} missing (docs/cancel-sql.md)`
  throw new OrderExpiryError('STORE_MISMATCH', message)
}

/** Reports what does not prevent the start: what keeps the sweeper from doing its part, and what cannot be proved. */
export async function noticeTable(
  table: OrdersTable & { cancelSql: string | undefined },
  onNotice: (notice: string) => void,
): Promise<void> {
  const { columns } = table
  for (const { level, what, meaning, fix = '' } of await lookAtUnseenColumns(table)) {
    if (level === 'warning') onNotice(`${what}. ${meaning} Say so in the settings: ${onOneLine(fix)}`)
  }
  if (!columns.isUnique) {
    onNotice(
      `ORDERS_ID_COLUMN: it cannot be proved that no two rows of ${columns.name} have the same id, since ${await whyNotUnique(table)}: an order with several rows is not cancelled`,
    )
  }
  if (!columns.deadline) {
    onNotice('ORDERS_DEADLINE_COLUMN is empty: orders whose jobs are lost cannot be found by the sweep')
    return
  }
  for (const { why, fix } of await missingIndexes(table)) {
    onNotice(`an index for the sweep: ${why} ${onOneLine(fix.join('\n'))}`)
  }
}

/** What is to be typed, without the lines for people. */
function onOneLine(fix: string): string {
  return fix
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join(' ')
}
