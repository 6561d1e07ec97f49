import { FLOOR_MS } from '../../order/deadline.ts'
import type { OrdersColumns } from './columns.ts'
import { atMs, instantOf, type TimeColumn, valueAt } from './instants.ts'
import { quoteLiteral } from './quoting.ts'

/**
 * The condition that an order counts as unpaid, on the columns of the innermost query. Its statuses are literals: a parameter
 * is compared only after planning, and then no partial index fits.
 */
export function isUnpaid({ status, unpaidStatuses, paidAt, condition }: OrdersColumns): string {
  return [
    status && `${status.compared} IN (${unpaidStatuses.map(quoteLiteral).join(', ')})`,
    paidAt && `${paidAt.sql} IS NULL`,
    condition && `(${condition.sql})`,
  ]
    .filter(Boolean)
    .join(' AND ')
}

/** The condition that an order has become what its cancellation makes of it. */
export function isCancelled(columns: OrdersColumns): string {
  const { status, cancelledStatus } = columns
  return status ? `${status.compared} = ${quoteLiteral(cancelledStatus)}` : `(${isUnpaid(columns)}) IS NOT TRUE`
}

/** The condition that money has come for an order that is cancelled; undefined where the columns cannot tell. */
export function isPaidLate({ status, cancelledStatus, cancelledAt, paidAt }: OrdersColumns): string | undefined {
  const cancelled = status
    ? `${status.compared} = ${quoteLiteral(cancelledStatus)}`
    : cancelledAt && `${cancelledAt.sql} IS NOT NULL`
  return paidAt && cancelled && `${cancelled} AND ${paidAt.sql} IS NOT NULL`
}

/** What a cancellation writes. */
export function assignments({ status, cancelledStatus, cancelledAt, assigned }: OrdersColumns): string {
  return [
    status && `${status.sql} = ${quoteLiteral(cancelledStatus)}`,
    cancelledAt && `${cancelledAt.sql} = ${valueAt(cancelledAt, 'now()', 'atMost')}`,
    ...assigned.map(({ column, sql }) => `${column} = (${sql})`),
  ]
    .filter(Boolean)
    .join(', ')
}

export function deadlineOf({ deadline }: OrdersColumns, alias: string): string {
  return deadline ? instantOf(deadline, alias) : 'NULL::timestamptz'
}

/** The status of an order, for people; null for orders that have none. */
export function statusOf({ status }: OrdersColumns, alias: string): string {
  return status ? `${alias}.${status.sql}::text` : 'NULL::text'
}

/** The provider's reference of the payment of an order, null if there is none; only with such a column. */
export function paymentOf({ payment }: OrdersColumns, alias: string): string {
  return payment ? `NULLIF(${alias}.${payment.reference}::text, '')` : 'NULL::text'
}

/** How an order is paid, as JSON of a `Payment`; null if there is nothing to be closed. */
export function paymentJson(columns: OrdersColumns, alias: string): string {
  const { payment } = columns
  if (!payment) return 'NULL::jsonb'
  const part = (column: string | undefined) => (column ? `${alias}.${column}::text` : 'NULL')
  const parts = `'method', ${part(payment.method)}, 'amount', ${part(payment.amount)}`
  return `CASE WHEN ${paymentOf(columns, alias)} IS NOT NULL
            THEN jsonb_strip_nulls(jsonb_build_object('reference', ${alias}.${payment.reference}::text, ${parts})) END`
}

/** The condition on the column that it means a time from `from` on; both it and `before` are epoch milliseconds as SQL. */
export function isFrom(column: TimeColumn, from: string, alias = 'o'): string {
  return `${alias}.${column.sql} >= ${valueAt(column, atMs(from), 'atLeast')}`
}

/** The opposite of {@link isFrom}. */
export function isBefore(column: TimeColumn, before: string, alias = 'o'): string {
  return `${alias}.${column.sql} < ${valueAt(column, atMs(before), 'atLeast')}`
}

/** The condition that the deadline of a row cannot be meant. */
export function isUnreadable(column: TimeColumn): string {
  return isBefore(column, `${FLOOR_MS}`)
}
