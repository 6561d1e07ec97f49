import { adviceOnMissing, adviceOnType, likeliestValues } from './advice.ts'
import { ID_TYPES, INTEGERS, NAMES, NUMBERS, STATUS_TYPES, TIME_TYPES } from './column-types.ts'
import type { Database } from './database.ts'
import type { IdType } from './ids.ts'
import type { TimeColumn, TimeType } from './instants.ts'
import { quoteIdentifier, quoteTable, readableName, splitTable } from './quoting.ts'
import type { PostgresSettings, PostgresStoreOptions } from './settings.ts'
import { type Fragment, parseAssignments, parseExpression } from './sql-fragment.ts'

/** The orders table of the settings as the database has it. Names and types but `schema` and `name` are SQL, quoted. */
export interface OrdersColumns {
  schema: string
  table: string
  /** With its schema, for people and for the outbox; quoted only where it must be. */
  name: string
  outbox: string
  /** Where `migrate` writes down when it first saw an orders table. */
  registry: string
  id: string
  idType: IdType
  /** The type of an id, as SQL. */
  idCast: string
  /** Whether the database guarantees that no two rows have the same id. */
  isUnique: boolean
  /** Whether our role may read all columns of the table, also those that no setting names. */
  isReadable: boolean
  /** Undefined where the condition alone says what is unpaid. */
  status: { sql: string; type: string } | undefined
  deadline: TimeColumn | undefined
  paidAt: TimeColumn | { sql: string; type: 'date' } | undefined
  cancelledAt: TimeColumn | undefined
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

/** A row of {@link COLUMNS_SQL}. */
export interface ColumnRow {
  schema: string
  relation: string
  name: string
  type: string
  sql_type: string
  labels: string[] | null
  /** Whether no two rows have the same value, guaranteed by an index of this table. */
  is_unique: boolean
  /** As in pg_class: a table is r or p, a view v or m, a foreign table f. */
  kind: string
  is_not_null: boolean
  is_readable: boolean
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
       c.relkind AS kind, a.attnotnull AS is_not_null,
       has_column_privilege(c.oid, a.attnum, 'SELECT') AS is_readable, EXISTS (
         SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
           AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS is_unique
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type base ON base.oid = t.typbasetype
WHERE c.oid = to_regclass($1)
ORDER BY a.attnum`

export type MatchOptions = Pick<PostgresStoreOptions, 'settings' | 'watchesPayments'>

/** What the settings name, among the columns of the table; no columns if something does not fit, which `problems` says, a line each. */
export function matchColumns(
  rows: readonly ColumnRow[],
  { settings, watchesPayments }: MatchOptions,
): { columns?: OrdersColumns; problems: string[] } {
  const { ORDERS_TABLE, ORDERS_ID_COLUMN, ORDERS_PAID_AT_COLUMN, ORDERS_CONDITION, ORDERS_SET } = settings
  const [first] = rows
  if (!first) {
    return {
      problems: [
        `ORDERS_TABLE: expected a table, but there is no ${ORDERS_TABLE} (names are case-sensitive; \`order-expiry doctor\` says which there are)`,
      ],
    }
  }
  const problems: string[] = []
  const find = columnFinder({ settings, rows, problems })
  const id = find('ORDERS_ID_COLUMN', ID_TYPES)
  const status = find('ORDERS_STATUS_COLUMN', STATUS_TYPES)
  const unit = settings.ORDERS_DEADLINE_UNIT
  const deadline = find<TimeType>('ORDERS_DEADLINE_COLUMN', unit ? NUMBERS : TIME_TYPES)
  const paidAt = find<TimeType | 'date'>('ORDERS_PAID_AT_COLUMN', { ...TIME_TYPES, date: 'date' })
  const cancelledAt = find<TimeType>('ORDERS_CANCELLED_AT_COLUMN', TIME_TYPES)
  const assigned = ORDERS_SET ? parseAssignments(ORDERS_SET) : []

  const isUnique = rows.some(({ name, is_unique }) => name === ORDERS_ID_COLUMN && is_unique)
  if (id && !isUnique && first.kind === 'r') {
    problems.push(
      `ORDERS_ID_COLUMN: expected a primary key or a unique index on ${ORDERS_ID_COLUMN} alone, there is none; create one (\`order-expiry doctor\` has the statement), or for a key of several columns name a view in ORDERS_TABLE (docs/tables.md)`,
    )
  }
  if (watchesPayments && paidAt?.type === 'date') {
    problems.push(
      `BRAKE_PAYMENT_SILENCE: expected ${ORDERS_PAID_AT_COLUMN} to be timestamptz or timestamp, it is date, which cannot tell when an order was paid; set it to off, or name another column`,
    )
  }
  problems.push(...statusProblems(rows, settings), ...assignmentProblems(rows, settings, assigned))
  if (problems.length > 0 || !id) return { problems }

  const zone = settings.ORDERS_TIME_ZONE ?? 'UTC'
  const read = { zone, unitMs: unit === 's' ? 1_000 : 1, afterMs: 0 }
  const { schema, relation } = first
  const columns: OrdersColumns = {
    schema,
    table: `${quoteIdentifier(schema)}.${quoteIdentifier(relation)}`,
    name: readableName(schema, relation),
    ...recordsBeside(schema, settings.OUTBOX_TABLE),
    id: id.sql,
    idType: id.type,
    idCast: id.type === 'citext' ? id.sqlType : id.type,
    isUnique,
    isReadable: rows.every(({ is_readable }) => is_readable),
    // Cast to `character`, a text would lose all but its first letter.
    status: status && { sql: status.sql, type: status.type === 'bpchar' ? 'bpchar' : status.sqlType },
    deadline: deadline && {
      ...read,
      sql: deadline.sql,
      type: deadline.type,
      afterMs: settings.ORDERS_DEADLINE_AFTER ?? 0,
    },
    paidAt: paidAt && paymentColumn(paidAt, read),
    cancelledAt: cancelledAt && { ...read, sql: cancelledAt.sql, type: cancelledAt.type },
    unpaidStatuses: settings.ORDERS_UNPAID_STATUSES ?? [],
    cancelledStatus: settings.ORDERS_CANCELLED_STATUS ?? '',
    condition: ORDERS_CONDITION ? { ...parseExpression(ORDERS_CONDITION), isImmutable: true } : undefined,
    assigned: assigned.map((one) => ({ ...one, column: quoteIdentifier(one.column) })),
  }
  return { problems, columns }
}

function paymentColumn(
  { sql, type }: { sql: string; type: TimeType | 'date' },
  read: Omit<TimeColumn, 'sql' | 'type'>,
) {
  return type === 'date' ? ({ sql, type } as const) : { ...read, sql, type }
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
    if (type) return { sql: quoteIdentifier(name), type, sqlType: row.sql_type }
    if (row) {
      const expected = Object.keys(types).map((type) => NAMES[type] ?? type)
      problems.push(
        `${setting}: expected ${name} to be ${expected.join(', ')}, it is ${row.sql_type}; ${adviceOnType(setting, row)}`,
      )
      return undefined
    }
    const isFit = (other: ColumnRow) => (other.labels ? 'an enum' : other.type) in types
    const advice = adviceOnMissing({ setting, name, rows, isFit })
    const has = `${settings.ORDERS_TABLE} has no column ${name}; it has ${rows.map((each) => each.name).join(', ')}`
    problems.push(`${setting}: ${has}${advice ? `: ${advice}` : ''}`)
    return undefined
  }
}

function statusProblems(rows: readonly ColumnRow[], settings: PostgresSettings): string[] {
  const { ORDERS_STATUS_COLUMN: name, ORDERS_UNPAID_STATUSES = [], ORDERS_CANCELLED_STATUS = '' } = settings
  const row = rows.find((candidate) => candidate.name === name)
  if (!row) return []
  const { labels, type, sql_type: sqlType } = row
  const isValue = (text: string) => {
    if (labels) return labels.includes(text)
    if (type in INTEGERS) return /^(0|-?[1-9]\d{0,17})$/.test(text)
    return type !== 'bool' || ['true', 'false'].includes(text)
  }
  const wanted = { ORDERS_UNPAID_STATUSES, ORDERS_CANCELLED_STATUS: [ORDERS_CANCELLED_STATUS] }
  return Object.entries(wanted).flatMap(([setting, texts]) => {
    const unknown = texts.filter((text) => !isValue(text))
    if (unknown.length === 0) return []
    if (labels) {
      const meant = likeliestValues(unknown, labels).join(',')
      const advice = meant && `: perhaps ${setting}=${meant}`
      return [`${setting}: ${sqlType} has no ${unknown.join(', ')}; it has ${labels.join(', ')}${advice}`]
    }
    const isCancelled = setting === 'ORDERS_CANCELLED_STATUS'
    const [values, example] =
      type === 'bool' ? ['true or false', `${isCancelled}`] : ['whole numbers', isCancelled ? '4' : '0']
    const why = `since ${name} is ${sqlType}; given ${unknown.join(', ')}`
    return [`${setting}: expected ${values}, ${why}: say what its values mean, such as ${setting}=${example}`]
  })
}

function assignmentProblems(
  rows: readonly ColumnRow[],
  settings: PostgresSettings,
  assigned: readonly { column: string }[],
): string[] {
  const taken = ['ORDERS_ID_COLUMN', 'ORDERS_STATUS_COLUMN', 'ORDERS_CANCELLED_AT_COLUMN'] as const
  return assigned.flatMap(({ column }, n) => {
    if (!rows.some(({ name }) => name === column)) {
      const names = rows.map(({ name }) => name).join(', ')
      return [
        `ORDERS_SET: ${settings.ORDERS_TABLE} has no column ${column}; it has ${names} (quote capitals: "paidAt")`,
      ]
    }
    const other = taken.find((setting) => settings[setting] === column)
    if (other) return [`ORDERS_SET: expected other columns than ${column}, which is ${other}`]
    const isTwice = assigned.findIndex((one) => one.column === column) < n
    return isTwice ? [`ORDERS_SET: expected ${column} once, given twice`] : []
  })
}

/** Our own tables: beside the orders, or wherever OUTBOX_TABLE says. */
function recordsBeside(schema: string, outbox: string): { outbox: string; registry: string } {
  const named = quoteTable(outbox) as string // the setting is refused otherwise
  const [where, name] =
    splitTable(named)?.length === 2 ? (splitTable(named) as string[]) : [quoteIdentifier(schema), named]
  return { outbox: `${where}.${name}`, registry: `${where}.order_expiry_tables` }
}
