import { cancelStatements } from './cancelling.ts'
import type { OrdersColumns } from './columns.ts'
import { outboxStatements } from './outbox.ts'
import { readStatements } from './reading.ts'

/** The statements of one orders table. Column names come from the catalogue, quoted; values are parameters. */
export function buildStatements(columns: OrdersColumns) {
  return { ...cancelStatements(columns), ...readStatements(columns), ...outboxStatements(columns) }
}

/** An empty text: the columns of this shop do not allow it. */
export type Statements = ReturnType<typeof buildStatements>
