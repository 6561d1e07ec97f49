import { createHash } from 'node:crypto'
import type { OrdersColumns } from './columns.ts'
import { type Database, one } from './database.ts'
import { quoteIdentifier } from './quoting.ts'
import { isPaidLate, isUnpaid } from './sql.ts'

/** Finds overdue unpaid orders. It holds unpaid orders only, and so stays small. */
export function sweepIndex(columns: OrdersColumns) {
  const { condition } = columns
  const where = isUnpaid({ ...columns, condition: condition?.isImmutable ? condition : undefined })
  return wanted(
    'order_expiry_unpaid',
    `${columns.table} (${columns.deadline?.sql}, ${columns.id})${where && ` WHERE ${where}`}`,
  )
}

/** Finds the latest payment. */
export function paidIndex({ table, paidAt }: OrdersColumns) {
  return wanted('order_expiry_paid', `${table} (${paidAt?.sql})`)
}

/** Finds payments that came after a cancellation. It holds them only, and so stays small. */
export function lateIndex(columns: OrdersColumns) {
  const { table, id, paidAt } = columns
  return wanted('order_expiry_paid_late', `${table} (${paidAt?.sql}, ${id}) WHERE ${isPaidLate(columns)}`)
}

/**
 * An index that the shop should have: its name, and what follows ON in its CREATE INDEX. The name is unique in the schema,
 * where an index of another table, or of other statuses, may exist already.
 */
function wanted(prefix: string, on: string) {
  return { name: `${prefix}_${createHash('sha256').update(on).digest('hex').slice(0, 8)}`, on }
}

/** What creates an index, as far as the table allows: one statement a line, and lines for people. */
export async function createIndex(
  { database, columns }: { database: Database; columns: OrdersColumns },
  { name, on }: ReturnType<typeof wanted>,
): Promise<string[]> {
  const { isPartitioned, isBroken, isUnderWay } = await one<Record<string, boolean>>(
    database,
    `SELECT c.relkind = 'p' AS "isPartitioned", i.indexrelid IS NOT NULL AS "isBroken", EXISTS (
       SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) AS "isUnderWay"
     FROM pg_class c LEFT JOIN (
       SELECT x.indexrelid, x.indrelid FROM pg_class n JOIN pg_index x ON x.indexrelid = n.oid
       WHERE NOT x.indisvalid AND n.relname = $2
     ) i ON i.indrelid = c.oid
     WHERE c.oid = $1::regclass`,
    [columns.table, name],
  )
  if (isUnderWay) return [`# it is being built at this moment, as ${name}: wait for it`]
  const concurrently = isPartitioned ? '' : 'CONCURRENTLY '
  const drop = `DROP INDEX ${concurrently}${quoteIdentifier(columns.schema)}.${name};`
  const lines = isBroken ? ['# an earlier attempt was broken off and left an invalid index behind:', drop] : []
  if (isPartitioned)
    lines.push('# writers wait while it is built: for a partitioned table, PostgreSQL has no other way')
  return [...lines, `CREATE INDEX ${concurrently}${name} ON ${on};`]
}
