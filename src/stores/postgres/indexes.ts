import { createHash } from 'node:crypto'
import type { OrdersColumns, OrdersMapping } from './columns.ts'

/** An index that the shop should have. Created by the shop, not by us: it takes a while on a big table. */
export interface WantedIndex {
  name: string
  /** What follows ON in its CREATE INDEX. */
  on: string
}

/** By which overdue unpaid orders are found; it holds unpaid orders only, and so stays small. */
export function sweepIndex(columns: OrdersColumns, mapping: OrdersMapping): WantedIndex {
  const { table, id, deadline } = columns
  return wanted('order_expiry_unpaid', `${table} (${deadline?.sql}, ${id}) WHERE ${isUnpaidSql(columns, mapping)}`)
}

/** By which the latest payment is found. */
export function paidIndex({ table, paidAt }: OrdersColumns): WantedIndex {
  return wanted('order_expiry_paid', `${table} (${paidAt?.sql})`)
}

/** Indexes of a schema need names of their own: of another table, or of the statuses that were set before, one may be there. */
function wanted(prefix: string, on: string): WantedIndex {
  return { name: `${prefix}_${createHash('sha256').update(on).digest('hex').slice(0, 8)}`, on }
}

/** The condition that an order counts as unpaid, with its statuses as literals. */
export function isUnpaidSql({ status, paidAt }: OrdersColumns, mapping: OrdersMapping): string {
  return `${status} IN (${mapping.unpaidStatuses.map(quoteLiteral).join(', ')})${paidAt ? ` AND ${paidAt.sql} IS NULL` : ''}`
}

/** An SQL literal. https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
