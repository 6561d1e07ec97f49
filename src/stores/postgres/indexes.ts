import { createHash } from 'node:crypto'
import type { OrdersColumns, OrdersMapping } from './columns.ts'
import { quoteLiteral } from './quoting.ts'

/** An index that the shop should have. It takes a while to build on a big table, so the shop decides when. */
export interface WantedIndex {
  name: string
  /** What follows ON in its CREATE INDEX. */
  on: string
}

/** Finds overdue unpaid orders. It holds unpaid orders only, and so stays small. */
export function sweepIndex(columns: OrdersColumns, mapping: OrdersMapping): WantedIndex {
  const { table, id, deadline } = columns
  return wanted('order_expiry_unpaid', `${table} (${deadline?.sql}, ${id}) WHERE ${isUnpaidSql(columns, mapping)}`)
}

/** Finds the latest payment. */
export function paidIndex({ table, paidAt }: OrdersColumns): WantedIndex {
  return wanted('order_expiry_paid', `${table} (${paidAt?.sql})`)
}

/** The name is unique in the schema, where an index of another table, or of other statuses, may exist already. */
function wanted(prefix: string, on: string): WantedIndex {
  return { name: `${prefix}_${createHash('sha256').update(on).digest('hex').slice(0, 8)}`, on }
}

/** The condition that an order counts as unpaid, with its statuses as literals. */
export function isUnpaidSql({ status, paidAt }: OrdersColumns, mapping: OrdersMapping): string {
  return `${status} IN (${mapping.unpaidStatuses.map(quoteLiteral).join(', ')})${paidAt ? ` AND ${paidAt.sql} IS NULL` : ''}`
}
