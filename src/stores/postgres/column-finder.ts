import { adviceOnMissing, adviceOnType, type ColumnSetting } from './advice.ts'
import type { ColumnRow } from './catalogue.ts'
import { NAMES } from './column-types.ts'
import { quoteIdentifier } from './quoting.ts'
import type { PostgresSettings } from './settings.ts'

/** A shop may give its provider the id of the order, or another of its columns. */
const MAY_BE_ANOTHERS: ReadonlySet<string> = new Set(['ORDERS_PAYMENT_COLUMN', 'ORDERS_METHOD_COLUMN'])

/** Finds the column of a setting, of one of the types; where it cannot, it adds to the problems. */
export function columnFinder(options: { settings: PostgresSettings; rows: readonly ColumnRow[]; problems: string[] }) {
  const { settings, rows, problems } = options
  const taken = new Map<string, string>()
  return <Type>(setting: ColumnSetting, types: Record<string, Type>) => {
    const name = settings[setting]
    if (name === undefined) return undefined
    const other = MAY_BE_ANOTHERS.has(setting) ? undefined : taken.get(name)
    if (other) problems.push(`${setting}: expected a column of its own, ${name} is ${other} already`)
    else if (!taken.has(name)) taken.set(name, setting)

    const row = rows.find((candidate) => candidate.name === name)
    const type = row && types[row.labels ? 'an enum' : row.type]
    if (type) return { sql: quoteIdentifier(name), type, sqlType: row.sql_type, isDomain: row.is_domain }
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
