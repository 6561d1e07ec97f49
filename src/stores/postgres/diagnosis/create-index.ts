import { one } from '../database.ts'
import type { WantedIndex } from '../indexes.ts'
import { quoteIdentifier } from '../quoting.ts'
import type { OrdersTable } from './table.ts'

/** What creates an index, as far as the table allows: one statement a line, and lines for people. */
export async function createIndex(
  { database, columns }: Pick<OrdersTable, 'database' | 'columns'>,
  { name, on }: WantedIndex,
): Promise<string[]> {
  const { isPartitioned, isBroken, isUnderWay } = await one<
    Record<'isPartitioned' | 'isBroken' | 'isUnderWay', boolean>
  >(
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
  return [
    ...(isBroken ? ['# an earlier attempt was broken off and left an invalid index behind:', drop] : []),
    ...(isPartitioned
      ? ['# writers wait while it is built: for a partitioned table, PostgreSQL has no other way']
      : []),
    `CREATE INDEX ${concurrently}${name} ON ${on};`,
  ]
}
