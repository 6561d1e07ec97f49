import { cancelStatements } from './cancelling.ts'
import type { OrdersColumns } from './columns.ts'
import { outboxStatements } from './outbox.ts'
import { readStatements } from './reading.ts'

/**
 * The statements of one orders table; an empty one needs a column that the shop has not. Column names come from the catalogue,
 * quoted; values are parameters.
 */
export function buildStatements(columns: OrdersColumns) {
  return { ...cancelStatements(columns), ...readStatements(columns), ...outboxStatements(columns) }
}
