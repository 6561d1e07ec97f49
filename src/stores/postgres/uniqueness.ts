import type { OrdersTable } from './columns.ts'
import { one } from './database.ts'
import { unquoteIdentifier } from './quoting.ts'

/** Why the database does not guarantee that no two rows have the same id. */
export async function whyNotUnique({ database, columns }: OrdersTable): Promise<string> {
  const { kind, keys, heirs } = await one<{ kind: string; keys: string[] | null; heirs: string[] | null }>(
    database,
    `SELECT relkind AS kind, (SELECT array_agg(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = c.oid) AS heirs, (SELECT array_agg(pg_get_indexdef(indexrelid)) FROM pg_index
       WHERE indrelid = c.oid AND indisunique) AS keys FROM pg_class c WHERE oid = $1::regclass`,
    [columns.table],
  )
  if (kind === 'v' || kind === 'f') return kind === 'v' ? 'it is a view' : 'it is a foreign table'
  if (kind === 'r' && heirs) return `other tables inherit from it, which no index holds for: ${heirs.join(', ')}`
  return `it has no unique index on ${unquoteIdentifier(columns.id)} alone${keys ? `, only: ${keys.join('; ')}` : ''}`
}
