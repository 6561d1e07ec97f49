import { cancelStatements } from './cancelling.ts'
import type { OrdersColumns } from './columns.ts'
import { outboxStatements } from './outbox.ts'
import { idsAndDeadlines } from './rows.ts'
import { atMs, deadlineOf, inUtc, isUnpaid, ms } from './sql.ts'

/**
 * For the transaction of `unpaidDueBefore`. An index that has its order is then read from where the page begins, and no
 * further, even if the planner expects few unpaid orders and would rather find and sort them all. It must know the
 * values for that. Where there is no such index, it still sorts, but at a cost that looks high enough to compile code for it.
 */
export const SWEEP_SETTINGS =
  'SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off'

/** The statements of one orders table; an empty one needs a column that the shop does not have. */
export function buildStatements(columns: OrdersColumns) {
  return { ...cancelStatements(columns), ...readStatements(columns), ...outboxStatements(columns) }
}

/** What cancels, so that every name and permission is checked and nothing is run. */
export function explanations(columns: OrdersColumns, cancelSql: string | undefined) {
  const { cancelUnpaid, insertOutbox } = buildStatements(columns)
  const values = idsAndDeadlines([])
  if (cancelSql) return [cancelSql, insertOutbox].map((sql) => ({ sql: `EXPLAIN ${sql}`, values }))
  return [{ sql: `EXPLAIN ${cancelUnpaid}`, values: [...values, columns.unpaidStatuses, columns.cancelledStatus] }]
}

function readStatements(columns: OrdersColumns) {
  const { table, id, idType, status, deadline, cancelledAt } = columns
  const paidAt = columns.paidAt?.type === 'date' ? undefined : columns.paidAt
  const instant = (parameter: string) => deadline && inUtc(atMs(`${parameter}::float8`), deadline.type)
  return {
    /* Reads the end of an index on the column; BRAKE_PAYMENT_SILENCE needs one. */
    newestPayment: paidAt
      ? `SELECT ${ms(inUtc(`max(o.${paidAt.sql})`, paidAt.type))} AS "paidAt" FROM ${table} o WHERE o.${paidAt.sql} <= ${inUtc('now()', paidAt.type)}`
      : '',

    /* $1 ids, $2 text[] unpaid statuses. Rows in any order; times are milliseconds. */
    find: `
SELECT o.${id}::text AS "orderId", o.${status}::text AS status, (${isUnpaid(columns, '$2')}) IS TRUE AS "isUnpaid",
       ${ms(deadlineOf(columns, 'o'))} AS deadline,
       ${cancelledAt ? ms(inUtc(`o.${cancelledAt.sql}`, cancelledAt.type)) : 'NULL'} AS "cancelledAt",
       ${paidAt ? ms(inUtc(`o.${paidAt.sql}`, paidAt.type)) : 'NULL'} AS "paidAt"
FROM ${table} o WHERE o.${id} = ANY ($1::${idType}[])`,

    /*
     * $1 text[] unpaid statuses, $2 instant and $3 the last deadline of the page before in milliseconds, $4 its id, $5 limit.
     * To be run with SWEEP_SETTINGS.
     *
     * Milliseconds tell apart all times of some centuries. For others they are too coarse to continue from, so the deadline is
     * taken from the last row itself while it is still the same.
     */
    unpaidDueBefore: deadline
      ? `
SELECT o.${id}::text AS "orderId", ${ms(deadlineOf(columns, 'o'))} AS deadline
FROM ${table} o
WHERE ${isUnpaid(columns, '$1')} AND o.${deadline.sql} <= ${instant('$2')}
  AND ($3::float8 IS NULL OR (o.${deadline.sql}, o.${id}) > (
    coalesce(
      (SELECT l.${deadline.sql} FROM ${table} l
       WHERE l.${id} = $4::text::${idType} AND ${ms(deadlineOf(columns, 'l'))} = $3::float8 LIMIT 1),
      ${instant('$3')}
    ), $4::text::${idType}))
ORDER BY o.${deadline.sql}, o.${id}
LIMIT $5`
      : '',
  }
}
