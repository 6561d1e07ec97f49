import type { ColumnRow } from './catalogue.ts'
import { columnFinder } from './column-finder.ts'
import {
  AMOUNT_TYPES,
  ID_TYPES,
  METHOD_TYPES,
  NUMBERS,
  PAYMENT_TYPES,
  STATUS_TYPES,
  TIME_TYPES,
} from './column-types.ts'
import { assignmentProblems, generatedProblems, statusProblems } from './column-values.ts'
import type { OrdersColumns } from './columns.ts'
import type { TimeColumn, TimeType } from './instants.ts'
import { quoteIdentifier, quoteTable, readableName, splitTable } from './quoting.ts'
import type { PostgresStoreOptions } from './settings.ts'
import { parseAssignments, parseExpression } from './sql-fragment.ts'

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
  const payment = find('ORDERS_PAYMENT_COLUMN', PAYMENT_TYPES)
  const method = find('ORDERS_METHOD_COLUMN', METHOD_TYPES)
  const amount = find('ORDERS_AMOUNT_COLUMN', AMOUNT_TYPES)
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
  if (settings.reopenSql !== undefined && paidAt?.type === 'date') {
    problems.push(
      `REOPEN_SQL_FILE: expected ${ORDERS_PAID_AT_COLUMN} to be timestamptz or timestamp, it is date, which cannot tell what was paid after a cancellation; leave it out`,
    )
  }
  problems.push(
    ...statusProblems(rows, settings),
    ...generatedProblems(rows, settings),
    ...assignmentProblems(rows, settings, assigned),
  )
  if (problems.length > 0 || !id) return { problems }

  const { ORDERS_TIME_ZONE: zone = 'UTC', ORDERS_DEADLINE_AFTER: afterMs = 0 } = settings
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
    status: status && statusColumn(status),
    deadline: deadline && { ...read, sql: deadline.sql, type: deadline.type, afterMs },
    paidAt: paidAt && paymentColumn(paidAt, read),
    cancelledAt: cancelledAt && { ...read, sql: cancelledAt.sql, type: cancelledAt.type },
    payment: payment && { reference: payment.sql, method: method?.sql, amount: amount?.sql },
    unpaidStatuses: settings.ORDERS_UNPAID_STATUSES ?? [],
    cancelledStatus: settings.ORDERS_CANCELLED_STATUS ?? '',
    condition: ORDERS_CONDITION ? { ...parseExpression(ORDERS_CONDITION), isImmutable: true } : undefined,
    assigned: assigned.map((one) => ({ ...one, column: quoteIdentifier(one.column) })),
  }
  return { problems, columns }
}

function statusColumn(column: { sql: string; type: string; sqlType: string; isDomain: boolean }) {
  const { sql, type, sqlType, isDomain } = column
  return {
    sql,
    // Cast to `character`, a text would lose all but its first letter.
    type: type === 'bpchar' ? 'bpchar' : sqlType,
    // Of the domains, those over an enum have no `=`.
    compared: type === 'enum' && isDomain ? `${sql}::${sqlType}` : sql,
  }
}

function paymentColumn(
  { sql, type }: { sql: string; type: TimeType | 'date' },
  read: Omit<TimeColumn, 'sql' | 'type'>,
) {
  return type === 'date' ? ({ sql, type } as const) : { ...read, sql, type }
}

/** Our own tables: beside the orders, or wherever OUTBOX_TABLE says. */
function recordsBeside(schema: string, outbox: string): Record<'outbox' | 'registry' | 'latePayments', string> {
  const named = quoteTable(outbox) as string // the setting is refused otherwise
  const [where, name] =
    splitTable(named)?.length === 2 ? (splitTable(named) as string[]) : [quoteIdentifier(schema), named]
  const beside = { registry: `${where}.order_expiry_tables`, latePayments: `${where}.order_expiry_late_payments` }
  return { outbox: `${where}.${name}`, ...beside }
}
