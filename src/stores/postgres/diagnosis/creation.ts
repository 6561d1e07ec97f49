import { COLUMNS_SQL, type ColumnRow } from '../catalogue.ts'
import { purposeOf } from '../column-names.ts'
import { TIME_TYPES } from '../column-types.ts'
import type { OrdersTable } from '../columns.ts'
import type { TimeColumn } from '../instants.ts'
import { quoteIdentifier } from '../quoting.ts'
import type { PostgresSettings } from '../settings.ts'
import { zoneProblem } from '../zones.ts'

/** The column that seems to say when an order was created; undefined if there is none that can be read for sure. */
export async function findCreation(
  options: OrdersTable & { settings: PostgresSettings },
): Promise<{ name: string; column: TimeColumn } | undefined> {
  const { database, columns, settings } = options
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [columns.table])
  for (const { name, type } of rows) {
    const sql = quoteIdentifier(name)
    if (purposeOf(name) !== 'creation' || sql === columns.deadline?.sql) continue
    const unitMs = settings.ORDERS_DEADLINE_UNIT === 's' ? 1_000 : 1
    const column = { sql, zone: settings.ORDERS_TIME_ZONE ?? 'UTC', unitMs, afterMs: 0 }
    if (type in TIME_TYPES) {
      const timed: TimeColumn = { ...column, type: type as keyof typeof TIME_TYPES }
      if (!(await zoneProblem(database, { ...columns, deadline: timed }, settings))) return { name, column: timed }
    } else if (['int4', 'int8'].includes(type) && settings.ORDERS_DEADLINE_UNIT) {
      return { name, column: { ...column, type: 'number' } }
    }
  }
  return undefined
}
