import { count } from '../../runtime/human-numbers.ts'
import { likeliestValues } from './advice.ts'
import type { ColumnRow } from './catalogue.ts'
import { INTEGERS, STATUS_TYPES } from './column-types.ts'
import { canHoldId, canonicalId, type IdType } from './ids.ts'
import type { PostgresSettings } from './settings.ts'

/** What is wrong with the statuses of the settings, for a column of this type. */
export function statusProblems(rows: readonly ColumnRow[], settings: PostgresSettings): string[] {
  const { ORDERS_STATUS_COLUMN: name, ORDERS_UNPAID_STATUSES = [], ORDERS_CANCELLED_STATUS = '' } = settings
  const row = rows.find((candidate) => candidate.name === name)
  if (!row) return []
  const wanted = { ORDERS_UNPAID_STATUSES, ORDERS_CANCELLED_STATUS: [ORDERS_CANCELLED_STATUS] }
  const problems = Object.entries(wanted).flatMap(([setting, texts]) => {
    const unknown = texts.filter((text) => !isValue(row, text))
    return unknown.length > 0 ? [`${setting}: ${expectedValues(row, setting, unknown)}`] : []
  })
  const same = ORDERS_UNPAID_STATUSES.find((text) => isCitext(row) && isSameText(text, ORDERS_CANCELLED_STATUS))
  if (same !== undefined) {
    const given = `given ${ORDERS_CANCELLED_STATUS}, which is ${same} to ${row.sql_type}`
    problems.push(`ORDERS_CANCELLED_STATUS: expected none of ORDERS_UNPAID_STATUSES, ${given}`)
  }
  return problems
}

/** Nobody but the database writes a generated column. A statement of the shop's own writes others. */
export function generatedProblems(rows: readonly ColumnRow[], settings: PostgresSettings): string[] {
  if (settings.cancelSql !== undefined) return []
  return (['ORDERS_STATUS_COLUMN', 'ORDERS_CANCELLED_AT_COLUMN'] as const).flatMap((setting) => {
    const row = rows.find(({ name }) => name === settings[setting])
    if (!row?.is_generated) return []
    const advice =
      setting === 'ORDERS_STATUS_COLUMN'
        ? 'leave it empty, and say with ORDERS_CONDITION when an order is unpaid and with ORDERS_SET what ends it, in the columns from which it is generated'
        : 'leave it out'
    return [`${setting}: expected a column that can be written, ${row.name} is generated; ${advice}`]
  })
}

/** Columns of ORDERS_SET that it cannot set, a line each. */
export function assignmentProblems(
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

function isValue({ labels, type, max_length: maxLength }: ColumnRow, text: string): boolean {
  if (labels) return labels.includes(text)
  if (type in INTEGERS) return canHoldId(STATUS_TYPES[type] as IdType, text)
  if (type === 'bool') return ['true', 'false'].includes(text)
  return maxLength === null || [...text].length <= maxLength
}

function expectedValues(
  { name, labels, type, sql_type: sqlType, max_length: maxLength }: ColumnRow,
  setting: string,
  unknown: readonly string[],
): string {
  const listed = unknown.join(', ')
  if (labels) {
    const meant = likeliestValues(unknown, labels).join(',')
    return `${sqlType} has no ${listed}; it has ${labels.join(', ')}${meant && `: perhaps ${setting}=${meant}`}`
  }
  if (maxLength !== null)
    return `expected up to ${count(maxLength, 'character')}, for which ${name} has room; given ${listed}`
  const isCancelled = setting === 'ORDERS_CANCELLED_STATUS'
  const [values, example] =
    type === 'bool' ? ['true or false', `${isCancelled}`] : ['whole numbers', isCancelled ? '4' : '0']
  const why = `since ${name} is ${sqlType}; given ${listed}`
  return `expected ${values}, ${why}: say what its values mean, such as ${setting}=${example}`
}

function isCitext({ type }: ColumnRow): boolean {
  return type === 'citext'
}

function isSameText(a: string, b: string): boolean {
  return canonicalId('citext', a) === canonicalId('citext', b)
}
