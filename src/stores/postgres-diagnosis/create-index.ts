import { quoteIdentifier } from '../postgres-columns.ts'
import type { WantedIndex } from '../postgres-index.ts'
import { one } from './database.ts'
import type { OrdersTable } from './table.ts'

/** What creates an index, as far as the table allows: one statement a line, and lines for people. */
export async function createIndex(
  { database, columns }: Pick<OrdersTable, 'database' | 'columns'>,
  { name, on }: WantedIndex,
): Promise<string[]> {
  const { isPartitioned, isBroken } = await one<{ isPartitioned: boolean; isBroken: boolean }>(
    database,
    `SELECT c.relkind = 'p' AS "isPartitioned", EXISTS (
       SELECT FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid
       WHERE x.indrelid = c.oid AND NOT x.indisvalid AND i.relname = $2) AS "isBroken"
     FROM pg_class c WHERE c.oid = $1::regclass`,
    [columns.table, name],
  )
  return [
    ...(isBroken
      ? [
          '# an earlier attempt was broken off and left an invalid index behind:',
          `DROP INDEX ${quoteIdentifier(columns.schema)}.${name};`,
        ]
      : []),
    ...(isPartitioned
      ? [
          '# writers wait while it is built: of a partitioned table, PostgreSQL does it no other way',
          `CREATE INDEX ${name} ON ${on};`,
        ]
      : [`CREATE INDEX CONCURRENTLY ${name} ON ${on};`]),
  ]
}
