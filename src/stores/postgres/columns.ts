import { OrderExpiryError } from '../../errors.ts'
import type { Database } from './diagnosis/database.ts'

/** Which of the shop's columns mean what; undefined where the shop has none. Names are exact, not folded. */
export interface OrdersMapping {
  /** `orders` or `schema.orders`; a name with a dot in it is written in double quotes. */
  table: string
  idColumn: string
  statusColumn: string
  deadlineColumn?: string | undefined
  paidAtColumn?: string | undefined
  cancelledAtColumn?: string | undefined
  unpaidStatuses: readonly string[]
  cancelledStatus: string
}

/** The mapping as the database really has it. Every string but `schema` is SQL, quoted. */
export interface OrdersColumns {
  schema: string
  table: string
  id: string
  idType: IdType
  status: string
  statusType: string
  deadline: { sql: string; type: TimeType } | undefined
  paidAt: { sql: string; type: TimeType | 'date' } | undefined
  cancelledAt: { sql: string; type: TimeType } | undefined
}

export type IdType = 'text' | 'uuid' | 'smallint' | 'integer' | 'bigint'
type TimeType = 'timestamptz' | 'timestamp'

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
 * The columns of a table.
 *
 * $1 the table as SQL, quoted. No row: there is no such table. `type` is the base type (of a domain, what it is over),
 * `sql_type` what to cast to, `labels` those of an enum. Not to the domain: that cast is not done before planning, and no
 * partial index would be found to fit.
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
/** What the catalogue calls otherwise than people do. */
const SQL_NAMES: Record<string, string> = { int2: 'smallint', int4: 'integer', int8: 'bigint' }
const TIME_TYPES: Record<string, TimeType> = { timestamptz: 'timestamptz', timestamp: 'timestamp' }

/**
 * Checks the mapping against the table.
 *
 * @param options.watchesPayments whether the silence of payments is watched
 * @throws {OrderExpiryError} STORE_MISMATCH, with all that does not fit
 */
export function resolveColumns(
  mapping: OrdersMapping,
  rows: readonly ColumnRow[],
  options: { watchesPayments?: boolean | undefined } = {},
): OrdersColumns {
  const first = rows[0]
  if (!first) {
    throw mismatch([`ORDERS_TABLE: expected a table, but there is no ${mapping.table} (names are case-sensitive)`])
  }
  const problems: string[] = []
  const column = (setting: string, name: string | undefined): ColumnRow | undefined => {
    if (name === undefined) return undefined
    const row = rows.find((candidate) => candidate.name === name)
    if (!row)
      problems.push(`${setting}: ${mapping.table} has no column ${name}; it has ${rows.map((r) => r.name).join(', ')}`)
    return row
  }
  const typed = <T>(setting: string, row: ColumnRow | undefined, types: Record<string, T>): T | undefined => {
    if (!row) return undefined
    const type = types[row.type]
    const expected = Object.keys(types)
      .map((name) => SQL_NAMES[name] ?? name)
      .join(', ')
    if (!type) problems.push(`${setting}: expected ${row.name} to be ${expected}, it is ${row.sql_type}`)
    return type
  }

  const id = column('ORDERS_ID_COLUMN', mapping.idColumn)
  const idType = typed('ORDERS_ID_COLUMN', id, ID_TYPES)
  if (id && !id.is_unique) {
    problems.push(`ORDERS_ID_COLUMN: expected a primary key or a unique index on ${id.name} alone, there is none`)
  }
  const status = column('ORDERS_STATUS_COLUMN', mapping.statusColumn)
  const deadline = column('ORDERS_DEADLINE_COLUMN', mapping.deadlineColumn)
  const deadlineType = typed('ORDERS_DEADLINE_COLUMN', deadline, TIME_TYPES)
  const paidAt = column('ORDERS_PAID_AT_COLUMN', mapping.paidAtColumn)
  const paidAtType = typed('ORDERS_PAID_AT_COLUMN', paidAt, { ...TIME_TYPES, date: 'date' as const })
  if (options.watchesPayments && paidAtType === 'date') {
    problems.push(
      `BRAKE_PAYMENT_SILENCE: expected ${paidAt?.name} to be timestamptz or timestamp, it is date, which cannot tell when an order was paid`,
    )
  }
  const cancelledAt = column('ORDERS_CANCELLED_AT_COLUMN', mapping.cancelledAtColumn)
  const cancelledAtType = typed('ORDERS_CANCELLED_AT_COLUMN', cancelledAt, TIME_TYPES)
  if (status && !status.labels && !['text', 'varchar'].includes(status.type)) {
    problems.push(
      `ORDERS_STATUS_COLUMN: expected ${status.name} to be text, varchar or an enum, it is ${status.sql_type}`,
    )
  }
  for (const [setting, wanted] of [
    ['ORDERS_UNPAID_STATUSES', mapping.unpaidStatuses],
    ['ORDERS_CANCELLED_STATUS', [mapping.cancelledStatus]],
  ] as const) {
    const unknown = status?.labels ? wanted.filter((label) => !status.labels?.includes(label)) : []
    if (unknown.length > 0) {
      problems.push(
        `${setting}: ${status?.sql_type} has no ${unknown.join(', ')}; it has ${status?.labels?.join(', ')}`,
      )
    }
  }
  const roles = new Map<string, string>()
  for (const [setting, name] of [
    ['ORDERS_ID_COLUMN', mapping.idColumn],
    ['ORDERS_STATUS_COLUMN', mapping.statusColumn],
    ['ORDERS_DEADLINE_COLUMN', mapping.deadlineColumn],
    ['ORDERS_PAID_AT_COLUMN', mapping.paidAtColumn],
    ['ORDERS_CANCELLED_AT_COLUMN', mapping.cancelledAtColumn],
  ] as const) {
    const other = name === undefined ? undefined : roles.get(name)
    if (other) problems.push(`${setting}: expected a column of its own, ${name} is ${other} already`)
    else if (name !== undefined) roles.set(name, setting)
  }
  if (problems.length > 0 || !idType || !status) throw mismatch(problems)

  return {
    schema: first.schema,
    table: `${quoteIdentifier(first.schema)}.${quoteIdentifier(first.relation)}`,
    id: quoteIdentifier(mapping.idColumn),
    idType,
    status: quoteIdentifier(mapping.statusColumn),
    statusType: status.sql_type,
    deadline: deadline && deadlineType && { sql: quoteIdentifier(deadline.name), type: deadlineType },
    paidAt: paidAt && paidAtType && { sql: quoteIdentifier(paidAt.name), type: paidAtType },
    cancelledAt: cancelledAt && cancelledAtType && { sql: quoteIdentifier(cancelledAt.name), type: cancelledAtType },
  }
}

/** An SQL identifier. https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The name that {@link quoteIdentifier} has quoted. */
export function unquoteIdentifier(sql: string): string {
  return sql.slice(1, -1).replaceAll('""', '"')
}

/** What the database knows of the orders table. @throws {OrderExpiryError} STORE_MISMATCH */
export async function readColumns(
  database: Pick<Database, 'query'>,
  options: { mapping: OrdersMapping; watchesPayments?: boolean | undefined },
): Promise<OrdersColumns> {
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [quoteTable(options.mapping.table)])
  return resolveColumns(options.mapping, rows, options)
}

/** The parts of `orders`, `schema.orders` or `"my.schema"."Orders"`, each quoted. Undefined if it is written wrongly. */
export function quoteTable(name: string): string | undefined {
  const part = '(?:"((?:[^"]|"")+)"|([^".]+))'
  const match = new RegExp(`^(?:${part}\\.)?${part}$`).exec(name)
  if (!match) return undefined
  const [, quotedSchema, schema, quotedTable, table] = match
  return [quotedSchema?.replaceAll('""', '"') ?? schema, quotedTable?.replaceAll('""', '"') ?? table]
    .filter((text) => text !== undefined)
    .map(quoteIdentifier)
    .join('.')
}

/** Whether the id column can hold this id at all. Others are missing by definition, and must not fail a whole batch. */
export function canHoldId(type: IdType, id: string): boolean {
  switch (type) {
    case 'text':
      return true
    case 'uuid':
      return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(id)
    case 'smallint':
      return fits(id, 15n)
    case 'integer':
      return fits(id, 31n)
    case 'bigint':
      return fits(id, 63n)
  }
}

/** Only the canonical writing: `007` is not the order `7`. */
function fits(id: string, bits: bigint): boolean {
  if (!/^(0|-?[1-9]\d{0,18})$/.test(id)) return false
  const value = BigInt(id)
  return value >= -(1n << bits) && value < 1n << bits
}

function mismatch(problems: readonly string[]): OrderExpiryError {
  return new OrderExpiryError(
    'STORE_MISMATCH',
    `the orders table is not as the settings say:\n  ${problems.join('\n  ')}`,
  )
}
