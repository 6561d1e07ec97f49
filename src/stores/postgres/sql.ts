import type { OrdersColumns, TimeType } from './columns.ts'

/**
 * The condition that an order `o` counts as unpaid. The parameter with the statuses is not cast by way of text[]: PostgreSQL
 * does a cast to an enum only after planning, and then no partial index fits.
 */
export function isUnpaid({ status, statusType, paidAt }: OrdersColumns, statuses: string): string {
  return `o.${status} = ANY (${statuses}::${statusType}[])${paidAt ? ` AND o.${paidAt.sql} IS NULL` : ''}`
}

export function deadlineOf({ deadline }: OrdersColumns, alias: string): string {
  return deadline ? inUtc(`${alias}.${deadline.sql}`, deadline.type) : 'NULL::timestamptz'
}

/** A value of a column as a timestamptz, or a timestamptz as a value for it. A `timestamp` is UTC, whatever the session says. */
export function inUtc(sql: string, type: TimeType): string {
  return type === 'timestamp' ? `(${sql} AT TIME ZONE 'UTC')` : sql
}

/** The time of epoch milliseconds. */
export function atMs(sql: string): string {
  return `to_timestamp(${sql} / 1000)`
}

/** The epoch milliseconds of a time, with a fraction. */
export function ms(sql: string): string {
  return `(extract(epoch FROM ${sql}) * 1000)::float8`
}
