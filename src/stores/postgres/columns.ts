import { OrderExpiryError } from '../../errors.ts'
import type { Database } from './database.ts'
import { quoteIdentifier, quoteTable } from './quoting.ts'
import type { PostgresSettings, PostgresStoreOptions } from './settings.ts'

/** The orders table of the settings as the database has it. Names and types but `schema` are SQL, quoted. */
export interface OrdersColumns {
  schema: string
  table: string
  id: string
  idType: IdType
  status: string
  statusType: string
  deadline: TimeColumn | undefined
  paidAt: TimeColumn | TimeColumn<'date'> | undefined
  cancelledAt: TimeColumn | undefined
  unpaidStatuses: readonly string[]
  cancelledStatus: string
}

/** The orders table, and a connection to its database. */
export interface OrdersTable {
  database: Database
  columns: OrdersColumns
}

type TimeColumn<Type = TimeType> = { sql: string; type: Type }
export type TimeType = 'timestamptz' | 'timestamp'
export type IdType = 'text' | 'uuid' | keyof typeof INTEGER_BITS

/** A row of {@link COLUMNS_SQL}. */
export interface ColumnRow {
  schema: string
  relation: string
  name: string
  type: string
  sql_type: string
  labels: string[] | null
  /** Whether no two rows have the same value; true for views and partitioned tables, which have no index that says so. */
  is_unique: boolean
}

/**
 * $1 the table as SQL, quoted. No row: there is no such table. `type` is the base type (of a domain, what it is over),
 * `sql_type` what to cast to, `labels` those of an enum. A cast to the domain itself is done only after planning, and then no
 * partial index fits.
 */
export const COLUMNS_SQL = `
SELECT n.nspname AS schema, c.relname AS relation, a.attname AS name,
       coalesce(base.typname, t.typname) AS type, format_type(coalesce(base.oid, t.oid), NULL) AS sql_type,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e
        WHERE e.enumtypid = coalesce(base.oid, t.oid)) AS labels,
       c.relkind NOT IN ('r', 'm') OR EXISTS (
         SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL
           AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS is_unique
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type base ON base.oid = t.typbasetype
WHERE c.oid = to_regclass($1)
ORDER BY a.attnum`

const ID_TYPES: Record<string, IdType> = {
  text: 'text',
  varchar: 'text',
  uuid: 'uuid',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
}
const STATUS_TYPES: Record<string, string> = { text: 'text', varchar: 'text', 'an enum': 'enum' }
const TIME_TYPES: Record<string, TimeType> = { timestamptz: 'timestamptz', timestamp: 'timestamp' }
const PAYMENT_TYPES: Record<string, TimeType | 'date'> = { ...TIME_TYPES, date: 'date' }

type MatchOptions = Pick<PostgresStoreOptions, 'settings' | 'watchesPayments'>

/** @throws {OrderExpiryError} STORE_MISMATCH, with all that does not fit */
export async function readColumns(database: Database, options: MatchOptions): Promise<OrdersColumns> {
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [quoteTable(options.settings.ORDERS_TABLE)])
  const { columns, problems } = matchColumns(rows, options)
  if (columns) return columns
  const message = `the orders table does not match the settings:\n  ${problems.join('\n  ')}`
  throw new OrderExpiryError('STORE_MISMATCH', message)
}

/** What the settings name, among the columns of the table; no columns if something does not fit, which `problems` says, a line each. */
export function matchColumns(
  rows: readonly ColumnRow[],
  { settings, watchesPayments }: MatchOptions,
): { columns?: OrdersColumns; problems: string[] } {
  const { ORDERS_TABLE, ORDERS_ID_COLUMN, ORDERS_STATUS_COLUMN, ORDERS_PAID_AT_COLUMN } = settings
  const [first] = rows
  if (!first) {
    return { problems: [`ORDERS_TABLE: expected a table, but there is no ${ORDERS_TABLE} (names are case-sensitive)`] }
  }
  const problems: string[] = []
  const find = columnFinder({ settings, rows, problems })
  const id = find('ORDERS_ID_COLUMN', ID_TYPES)
  const status = find('ORDERS_STATUS_COLUMN', STATUS_TYPES)
  const deadline = find('ORDERS_DEADLINE_COLUMN', TIME_TYPES)
  const paidAt = find('ORDERS_PAID_AT_COLUMN', PAYMENT_TYPES)
  const cancelledAt = find('ORDERS_CANCELLED_AT_COLUMN', TIME_TYPES)

  if (rows.some(({ name, is_unique }) => name === ORDERS_ID_COLUMN && !is_unique)) {
    const expected = `a primary key or a unique index on ${ORDERS_ID_COLUMN} alone`
    problems.push(`ORDERS_ID_COLUMN: expected ${expected}, there is none`)
  }
  if (watchesPayments && paidAt?.type === 'date') {
    problems.push(
      `BRAKE_PAYMENT_SILENCE: expected ${ORDERS_PAID_AT_COLUMN} to be timestamptz or timestamp, it is date, which cannot tell when an order was paid`,
    )
  }
  const { ORDERS_UNPAID_STATUSES: unpaidStatuses, ORDERS_CANCELLED_STATUS: cancelledStatus } = settings
  const { labels, sql_type: statusType = '' } = rows.find(({ name }) => name === ORDERS_STATUS_COLUMN) ?? {}
  const statuses = { ORDERS_UNPAID_STATUSES: unpaidStatuses, ORDERS_CANCELLED_STATUS: [cancelledStatus] }
  for (const [setting, wanted] of labels ? Object.entries(statuses) : []) {
    const unknown = wanted.filter((label) => !labels?.includes(label)).join(', ')
    if (unknown) problems.push(`${setting}: ${statusType} has no ${unknown}; it has ${labels?.join(', ')}`)
  }
  if (problems.length > 0 || !id || !status) return { problems }

  const { schema, relation } = first
  const table = `${quoteIdentifier(schema)}.${quoteIdentifier(relation)}`
  const columns = { id: id.sql, idType: id.type, status: status.sql, statusType, deadline, paidAt, cancelledAt }
  return { problems, columns: { schema, table, ...columns, unpaidStatuses, cancelledStatus } }
}

/** Finds the column of a setting, of one of the types; where it cannot, it adds to the problems. */
function columnFinder(options: { settings: PostgresSettings; rows: readonly ColumnRow[]; problems: string[] }) {
  const { settings, rows, problems } = options
  const taken = new Map<string, string>()
  return <Type>(setting: keyof PostgresSettings & `${string}_COLUMN`, types: Record<string, Type>) => {
    const name = settings[setting]
    if (name === undefined) return undefined
    const other = taken.get(name)
    if (other) problems.push(`${setting}: expected a column of its own, ${name} is ${other} already`)
    else taken.set(name, setting)

    const row = rows.find((candidate) => candidate.name === name)
    const type = row && types[row.labels ? 'an enum' : row.type]
    if (type) return { sql: quoteIdentifier(name), type }
    const expected = Object.entries(types).map(([is, of]) => (is.startsWith('int') ? of : is)) // `smallint`, not `int2`
    problems.push(
      row
        ? `${setting}: expected ${name} to be ${expected.join(', ')}, it is ${row.sql_type}`
        : `${setting}: ${settings.ORDERS_TABLE} has no column ${name}; it has ${rows.map((each) => each.name).join(', ')}`,
    )
    return undefined
  }
}

const INTEGER_BITS = { smallint: 16, integer: 32, bigint: 64 }

/** Whether the id column can hold this id at all. Others are missing by definition, and must not fail a whole batch. */
export function canHoldId(type: IdType, id: string): boolean {
  if (type === 'text') return true
  if (type === 'uuid') return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(id)
  // Only the canonical form: `007` is not the order `7`.
  if (!/^(0|-?[1-9]\d{0,18})$/.test(id)) return false
  return BigInt.asIntN(INTEGER_BITS[type], BigInt(id)) === BigInt(id)
}
