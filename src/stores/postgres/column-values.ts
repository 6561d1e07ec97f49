import { likeliestValues } from './advice.ts'
import type { ColumnRow } from './catalogue.ts'
import { INTEGERS } from './column-types.ts'
import type { PostgresSettings } from './settings.ts'

/** Statuses of the settings that the column cannot have, a line each. */
export function statusProblems(rows: readonly ColumnRow[], settings: PostgresSettings): string[] {
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
