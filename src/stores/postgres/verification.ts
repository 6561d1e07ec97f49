import type pg from 'pg'
import { OrderExpiryError } from '../../errors.ts'
import type { OrdersTable } from './columns.ts'
import { lookAtLatePayments } from './diagnosis/late-payments.ts'
import { lookAtUnseenColumns } from './diagnosis/unseen-columns.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { missingIndexes } from './migration.ts'
import { firstSeen, missingRecords } from './outbox.ts'
import { isPaidLate } from './sql.ts'
import { whyNotUnique } from './uniqueness.ts'

/**
 * @param options.areDelivered whether events are to be delivered, for which an outbox of an earlier version lacks some columns
 * @returns when `migrate` first saw the table, in epoch milliseconds, whether the outbox has these columns, and whether payments after a
 *   cancellation can be told of
 * @throws {OrderExpiryError} OUTBOX_MISSING
 */
export async function verifyRecords(
  table: OrdersTable,
  { areDelivered }: { areDelivered: boolean },
): Promise<{ firstSeen: number; hasDeliveries: boolean; hasLatePayments: boolean }> {
  const lacking = await missingRecords(table)
  const missing = lacking.filter(({ need }) => need !== 'late payments')
  const hasDeliveries = missing.length === 0
  const hasLatePayments = isPaidLate(table.columns) !== undefined && missing.length === lacking.length
  const isComplete = missing.every(({ need }) => need === 'deliveries' && !areDelivered)
  const seenAt = isComplete ? await firstSeen(table) : undefined
  if (seenAt !== undefined) return { firstSeen: seenAt, hasDeliveries, hasLatePayments }
  const { outbox, registry, name } = table.columns
  if (missing.length > 0 && missing.every(({ need }) => need === 'deliveries')) {
    const message = `expected ${outbox} with the columns of deliveries, since events are to be sent; an earlier version has made it`
    throw new OrderExpiryError('OUTBOX_MISSING', `${message}: run \`order-expiry migrate\``)
  }
  const expected = `expected the tables ${outbox} and ${registry}, with an entry for ${name}; that is missing`
  throw new OrderExpiryError('OUTBOX_MISSING', `${expected}: run \`order-expiry migrate\``)
}

/** Runs the shop's own statement with no orders, which changes nothing. @throws {OrderExpiryError} STORE_MISMATCH */
export function verifyCancelSql(database: pg.PoolClient, sql: string): Promise<void> {
  const columns = ['id', 'outcome', 'until']
  return verify(database, { setting: 'CANCEL_SQL_FILE', sql, values: [[], []], columns, page: 'docs/cancel-sql.md' })
}

/** As {@link verifyCancelSql}. */
export function verifyReopenSql(database: pg.PoolClient, sql: string): Promise<void> {
  const columns = ['id']
  return verify(database, { setting: 'REOPEN_SQL_FILE', sql, values: [[]], columns, page: 'docs/payments.md' })
}

async function verify(
  database: pg.PoolClient,
  options: { setting: string; sql: string; values: unknown[]; columns: readonly string[]; page: string },
): Promise<void> {
  const { setting, sql, values, columns, page } = options
  const { fields } = await database.query(sql, values).catch((cause: unknown) => {
    // From a pooler, 08P01 is an outage; from a statement just written, it says that it takes other parameters.
    if (sqlStateOf(cause) !== '08P01') throw cause
    throw new OrderExpiryError('STORE_MISMATCH', `${setting}: ${asStoreError(cause).message}`, { cause })
  })
  const missing = columns.filter((name) => !fields.some((field) => field.name === name))
  if (missing.length === 0) return
  const expected = columns.length === 1 ? 'the column id' : 'the columns id, outcome and until'
  const message = `${setting}: expected ${expected}; ${missing.join(' and ')} missing (${page})`
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
  for (const { level, what, meaning, fix = '' } of await lookAtLatePayments(table)) {
    if (level === 'warning') onNotice(`${what}. ${meaning} ${onOneLine(fix)}`)
  }
  if (!columns.deadline) {
    onNotice('ORDERS_DEADLINE_COLUMN is empty: orders whose jobs are lost cannot be found by the sweep')
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
