import { FLOOR_MS } from '../../order/deadline.ts'
import { MOST_COUNTED } from '../../order/set-aside.ts'
import { cancelStatements } from './cancelling.ts'
import type { OrdersColumns } from './columns.ts'
import { atMs, instantOf, isMonotonic, ms, valueAt } from './instants.ts'
import { outboxStatements } from './outbox.ts'
import { idsAndDeadlines } from './rows.ts'
import { deadlineOf, isBefore, isFrom, isUnpaid, isUnreadable, paymentJson, statusOf } from './sql.ts'

/**
 * For the transaction of `unpaidDueBefore`. An index that has its order is then read from where the page begins, and no
 * further, even if the planner expects few unpaid orders and would rather find and sort them all. It must know the
 * values for that. Where there is no such index, it still sorts, but at a cost that looks high enough to compile code for it.
 */
export const SWEEP_SETTINGS =
  'SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off'

/** What was overdue for longer than this when the daemon first saw the table is its backlog. */
export const BACKLOG_AFTER_MS = 86_400_000
const EXAMPLES_TOLD = 5

interface SweepRange {
  /** Orders due before that are left to `sweep --backlog`, in epoch milliseconds. Default: there is no backlog. */
  backlogEndMs?: number
  /** Whether to remember the orders that the shop's own statement keeps although the columns show them as unpaid. */
  remembersKept?: boolean
  /** Whether the outbox has the columns for who delivers its events. */
  hasDeliveries?: boolean
}

/** The statements of one orders table; an empty one needs a column that the shop does not have. */
export function buildStatements(columns: OrdersColumns, range: SweepRange = {}) {
  return {
    ...cancelStatements(columns),
    ...readStatements(columns, range),
    ...sweepStatements(columns, range),
    ...outboxStatements(columns, range),
  }
}

/** What cancels, so that every name, status and permission is checked and nothing is run. */
export function explanations(columns: OrdersColumns, cancelSql: string | undefined) {
  const { cancelUnpaid, insertOutbox } = buildStatements(columns)
  const none = idsAndDeadlines([])
  if (!cancelSql)
    return [{ sql: `EXPLAIN ${cancelUnpaid}`, values: [...none, null, null, null, ...(columns.payment ? [null] : [])] }]
  return [
    { sql: `EXPLAIN ${cancelSql}`, values: none },
    { sql: `EXPLAIN ${insertOutbox}`, values: [...none, [], null] },
  ]
}

function readStatements(columns: OrdersColumns, { backlogEndMs = FLOOR_MS, remembersKept }: SweepRange) {
  const { table, id, idCast, deadline, cancelledAt } = columns
  const paidAt = columns.paidAt?.type === 'date' ? undefined : columns.paidAt
  return {
    /* Reads the end of an index on the column; BRAKE_PAYMENT_SILENCE needs one. */
    newestPayment: paidAt
      ? `
SELECT ${ms(instantOf(paidAt, 'p'))} AS "paidAt" FROM (
  SELECT max(o.${paidAt.sql}) AS ${paidAt.sql} FROM ${table} o
  WHERE ${isFrom(paidAt, `${FLOOR_MS}`)} AND o.${paidAt.sql} <= ${valueAt(paidAt, 'now()', 'atMost')}) p`
      : '',

    /* $1 ids. Rows in any order; times are milliseconds. */
    find: `
SELECT o.${id}::text AS "orderId", coalesce(${statusOf(columns, 'o')}, '') AS status, (${isUnpaid(columns)}) IS TRUE AS "isUnpaid",
       ${ms(deadlineOf(columns, 'o'))} AS deadline,
       ${deadline ? `CASE WHEN ${isUnreadable(deadline)} THEN 'unreadable' WHEN ${isBefore(deadline, `${backlogEndMs}`)} THEN 'backlog' END` : 'NULL'} AS "setAside",
       ${cancelledAt ? ms(instantOf(cancelledAt, 'o')) : 'NULL'} AS "cancelledAt",
       ${paidAt ? ms(instantOf(paidAt, 'o')) : 'NULL'} AS "paidAt", ${paymentJson(columns, 'o')} AS payment
FROM ${table} o WHERE o.${id} = ANY ($1::${idCast}[])`,

    /* $1 ids. What a row is now, all of it. */
    versions: remembersKept
      ? `SELECT o.${id}::text AS id, hashtextextended(o::text, 0)::text AS version FROM ${table} o WHERE o.${id} = ANY ($1::${idCast}[])`
      : '',
  }
}

/**
 * $1 an instant and $2 the last deadline of the page before in milliseconds, $3 its id, $4 limit; with `remembersKept` also $5
 * ids and $6 versions of rows to leave out. To be run with SWEEP_SETTINGS.
 *
 * Milliseconds tell apart all times of some centuries. For others they are too coarse to continue from, so the deadline is
 * taken from the last row itself while it is still the same.
 */
function sweepStatements(columns: OrdersColumns, { backlogEndMs = FLOOR_MS, remembersKept }: SweepRange) {
  const { table, id, idCast, deadline } = columns
  if (!deadline) return { unpaidDueBefore: '', backlogDueBefore: '', setAside: '' }
  const at = (parameter: string) => valueAt(deadline, atMs(`${parameter}::float8`), 'atMost')
  const page = (range: string) => `
SELECT o.${id}::text AS "orderId", ${ms(deadlineOf(columns, 'o'))} AS deadline
FROM ${table} o
WHERE ${isUnpaid(columns)} AND ${range} AND o.${deadline.sql} <= ${at('$1')}
  ${isMonotonic(deadline) ? '' : `AND ${deadlineOf(columns, 'o')} <= ${atMs('$1::float8')}`}
  AND ($2::float8 IS NULL OR (o.${deadline.sql}, o.${id}) > (
    coalesce(
      (SELECT l.${deadline.sql} FROM ${table} l
       WHERE l.${id} = $3::text::${idCast} AND ${ms(deadlineOf(columns, 'l'))} = $2::float8 LIMIT 1),
      ${at('$2')}
    ), $3::text::${idCast}))
  ${remembersKept ? `AND (o.${id}::text, hashtextextended(o::text, 0)::text) NOT IN (SELECT * FROM unnest($5::text[], $6::text[]))` : ''}
ORDER BY o.${deadline.sql}, o.${id}
LIMIT $4`
  const isBacklog = `${isFrom(deadline, `${FLOOR_MS}`)} AND ${isBefore(deadline, `${backlogEndMs}`)}`
  const counted = (range: string) => `(
    SELECT o.${id}, o.${deadline.sql} FROM ${table} o WHERE ${isUnpaid(columns)} AND ${range}
    ORDER BY o.${deadline.sql} LIMIT ${MOST_COUNTED}) o`
  return {
    unpaidDueBefore: page(isFrom(deadline, `${backlogEndMs}`)),
    backlogDueBefore: page(isBacklog),

    setAside: `
SELECT (SELECT jsonb_build_object('orders', count(*), 'oldest', min(${ms(deadlineOf(columns, 'o'))})) FROM ${counted(isBacklog)}) AS backlog,
       (SELECT jsonb_build_object('orders', count(*), 'examples', coalesce((array_agg(o.${id}::text))[1:${EXAMPLES_TOLD}], '{}'))
        FROM ${counted(isUnreadable(deadline))}) AS unreadable`,
  }
}
