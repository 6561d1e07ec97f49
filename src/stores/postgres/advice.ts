import { distance } from 'fastest-levenshtein'
import { type Purpose, purposeOf, wordsOf } from './column-names.ts'
import { INTEGERS } from './column-types.ts'
import { quoteIdentifier } from './quoting.ts'

/** What is known of a column of the table. */
interface Column {
  relation: string
  name: string
  /** The name of its type in the catalogue. */
  type: string
  is_unique: boolean
}

export type ColumnSetting =
  `ORDERS_${'ID' | 'STATUS' | 'DEADLINE' | 'PAID_AT' | 'CANCELLED_AT' | 'PAYMENT' | 'METHOD' | 'AMOUNT'}_COLUMN`

/** Of the others, no name tells what a column is for. */
const PURPOSES: Partial<Record<ColumnSetting, Purpose>> = {
  ORDERS_ID_COLUMN: 'id',
  ORDERS_STATUS_COLUMN: 'status',
  ORDERS_DEADLINE_COLUMN: 'deadline',
  ORDERS_PAID_AT_COLUMN: 'payment',
  ORDERS_CANCELLED_AT_COLUMN: 'cancellation',
}
/** What gets somebody further whose table has nothing of the kind. */
const WITHOUT: Partial<Record<ColumnSetting, string>> = {
  ORDERS_STATUS_COLUMN:
    'leave it empty if no column is a status, and say with ORDERS_CONDITION when an order is unpaid and with ORDERS_SET what ends it',
  ORDERS_DEADLINE_COLUMN: 'leave it empty if there is none; then only the jobs know the deadlines',
  ORDERS_PAID_AT_COLUMN: 'leave it out if there is none',
  ORDERS_CANCELLED_AT_COLUMN: 'leave it out if there is none',
}

/** Longer names that differ in this many letters are most likely meant to be the same. */
const LETTERS_WRONG = 2
const LEAST_LETTERS = 5

/**
 * What gets somebody further whose table has no column of this name: the most likely one, or what to do without.
 *
 * @param isFit whether the setting takes a column of this type
 */
export function adviceOnMissing<Row extends Column>(options: {
  setting: ColumnSetting
  name: string
  rows: readonly Row[]
  isFit: (row: Row) => boolean
}): string | undefined {
  const { setting, name, rows, isFit } = options
  const purpose = PURPOSES[setting]
  const isNumber = ({ type }: Column) => setting === 'ORDERS_DEADLINE_COLUMN' && ['int4', 'int8'].includes(type)
  const candidates = rows.filter((row) => isFit(row) || isNumber(row))
  const meant =
    candidates.find((row) => wordsOf(row.name).join() === wordsOf(name).join()) ??
    candidates.find((row) => isMisspelt(row.name, name)) ??
    candidates.find((row) => purpose && purposeOf(row.name) === purpose && (purpose !== 'id' || row.is_unique))
  if (meant) {
    const unit = isNumber(meant) && !isFit(meant) ? ' with ORDERS_DEADLINE_UNIT=s or ms' : ''
    return `perhaps ${setting}=${meant.name}${unit}`
  }
  const created = rows.find((row) => isFit(row) && purposeOf(row.name) === 'creation')
  if (setting === 'ORDERS_DEADLINE_COLUMN' && created)
    return `perhaps ${setting}=${created.name} with ORDERS_DEADLINE_AFTER=30m`
  return WITHOUT[setting]
}

function isMisspelt(a: string, b: string): boolean {
  return Math.min(a.length, b.length) >= LEAST_LETTERS && distance(a.toLowerCase(), b.toLowerCase()) <= LETTERS_WRONG
}

/** What gets somebody further whose column has a type that the setting does not take. */
export function adviceOnType(setting: ColumnSetting, { name, type, relation }: Column): string {
  const isInteger = type in INTEGERS
  const written = quoteIdentifier(name)
  const inView = (sql: string, as: string) =>
    `name a view in ORDERS_TABLE that has it as one, such as CREATE VIEW expiring AS SELECT *, ${sql} AS ${as} FROM ${quoteIdentifier(relation)} (docs/tables.md)`
  if (setting === 'ORDERS_DEADLINE_COLUMN') {
    if (isInteger) return 'say with ORDERS_DEADLINE_UNIT=s or ms what its numbers are'
    if (type.startsWith('timestamp')) return 'leave ORDERS_DEADLINE_UNIT out, which is for numbers'
    const instant: Record<string, string> = {
      date: `(${written} + 1)::timestamptz`,
      jsonb: `(${written}->>'…')::timestamptz`,
      json: `(${written}->>'…')::timestamptz`,
      numeric: `to_timestamp(${written})`,
      float8: `to_timestamp(${written})`,
    }
    return inView(instant[type] ?? `${written}::timestamptz`, 'deadline')
  }
  if (setting === 'ORDERS_PAID_AT_COLUMN') {
    const unpaid = type === 'bool' ? `NOT ${written}` : isInteger ? `${written} = 0` : `${written} = '…'`
    return `leave it out, and say when an order is unpaid with ORDERS_CONDITION=${unpaid}`
  }
  if (setting === 'ORDERS_CANCELLED_AT_COLUMN') {
    const value = type === 'date' ? 'current_date' : isInteger ? 'extract(epoch FROM now())' : '…'
    return `leave it out, and write it with ORDERS_SET=${written} = ${value}`
  }
  if (setting === 'ORDERS_STATUS_COLUMN') {
    return 'leave it empty, and say with ORDERS_CONDITION when an order is unpaid and with ORDERS_SET what ends it'
  }
  return inView(`${written}::text`, 'order_id')
}

/** Which of the values that there are is most likely meant by each of these. */
export function likeliestValues(given: readonly string[], values: readonly string[]): string[] {
  return given.flatMap((text) => values.find((value) => spelling(value) === spelling(text)) ?? [])
}

function spelling(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '')
    .replace('canceled', 'cancelled')
}
