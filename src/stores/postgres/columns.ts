import type { Database } from './database.ts'
import type { IdType } from './ids.ts'
import type { TimeColumn } from './instants.ts'
import type { Fragment } from './sql-fragment.ts'

/** The orders table of the settings as the database has it. Names and types but `schema` and `name` are SQL, quoted. */
export interface OrdersColumns {
  schema: string
  table: string
  /** With its schema, for people and for the outbox; quoted only where it must be. */
  name: string
  outbox: string
  /** Where `migrate` writes down when it first saw an orders table. */
  registry: string
  /** Of which payments after a cancellation was told. */
  latePayments: string
  id: string
  idType: IdType
  /** The type of an id, as SQL. */
  idCast: string
  /** Whether the database guarantees that no two rows have the same id. */
  isUnique: boolean
  /** Whether our role may read all columns of the table, also those that no setting names. */
  isReadable: boolean
  /** Undefined where the condition alone says what is unpaid. `compared`: as it is compared with its values. */
  status: { sql: string; type: string; compared: string } | undefined
  deadline: TimeColumn | undefined
  paidAt: TimeColumn | { sql: string; type: 'date' } | undefined
  cancelledAt: TimeColumn | undefined
  /** How an order is paid: columns, as SQL. Undefined: nobody closes payments. */
  payment: { reference: string; method: string | undefined; amount: string | undefined } | undefined
  unpaidStatuses: readonly string[]
  cancelledStatus: string
  /** What must hold beside the status, and whether an index may have it as its condition. */
  condition: (Fragment & { isImmutable: boolean }) | undefined
  /** What a cancellation writes beside the status. */
  assigned: readonly (Fragment & { column: string })[]
}

/** The orders table, and a connection to its database. */
export interface OrdersTable {
  database: Database
  columns: OrdersColumns
}
