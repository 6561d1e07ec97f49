import { type Finding, finding } from '../../../doctor/finding.ts'
import { OrderExpiryError } from '../../../errors.ts'
import {
  type ColumnRow,
  type OrdersColumns,
  type OrdersMapping,
  quoteIdentifier,
  quoteTable,
  unquoteIdentifier,
} from '../columns.ts'
import type { Database } from './database.ts'

/** The orders table, which is as the settings say. */
export interface OrdersTable {
  database: Database
  columns: OrdersColumns
  mapping: OrdersMapping
}

/** Without USAGE on its schema, the table cannot even be looked up. */
export async function lookAtSchema(options: {
  database: Database
  mapping: OrdersMapping
  role: string
}): Promise<Finding | undefined> {
  const { database, mapping, role } = options
  const { rows } = await database.query<{ schema: string }>(
    `SELECT quote_ident(n.nspname) AS schema FROM pg_namespace n
     WHERE quote_ident(n.nspname) || '.' = ANY ($1) AND NOT has_schema_privilege(n.oid, 'USAGE')`,
    [schemaOf(mapping.table)],
  )
  const [hidden] = rows
  if (!hidden) return undefined
  return finding('error', 'store-permissions', {
    what: `the role ${role} may not use the schema ${hidden.schema}`,
    meaning: 'The daemon does not start.',
    fix: `GRANT USAGE ON SCHEMA ${hidden.schema} TO ${role};`,
  })
}

/** The schema of the table as `quote_ident` would write it, both with and without quotes; empty if it names none. */
function schemaOf(table: string): string[] {
  const quoted = quoteTable(table) ?? ''
  const schema = /^("(?:[^"]|"")+")\./.exec(quoted)?.[1]
  return schema ? [`${schema}.`, `${schema.slice(1, -1)}.`] : []
}

/**
 * In what the table is not as the settings say.
 *
 * @param options.rows its columns; none: there is no such table
 * @param options.error what `resolveColumns` has thrown
 */
export async function mismatches(options: {
  database: Database
  mapping: OrdersMapping
  rows: readonly ColumnRow[]
  error: unknown
}): Promise<Finding[]> {
  const { database, mapping, rows, error } = options
  if (!(error instanceof OrderExpiryError)) throw error
  const meaning = 'The daemon does not start.'
  const settings = '# correct the setting, or the table'
  if (rows.length === 0) {
    const name = (quoteTable(mapping.table) ?? '').replace(/^("(?:[^"]|"")+")\./, '')
    const { rows: found } = await database.query<{ name: string }>(
      `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r', 'p', 'v', 'f')
         AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 5`,
      [unquoteIdentifier(name)],
    )
    return [
      finding('error', 'store-table', {
        what: `there is no table ${mapping.table} here (names are case-sensitive)`,
        meaning,
        fix: found.length > 0 ? ['# there is:', ...found.map((row) => `ORDERS_TABLE=${row.name}`)] : settings,
      }),
    ]
  }
  const id = rows.find(({ name }) => name === mapping.idColumn)
  const first = rows[0] as ColumnRow
  const table = `${quoteIdentifier(first.schema)}.${quoteIdentifier(first.relation)}`
  // The first line says that there is a list, the others are the list.
  const [, ...problems] = error.message.split('\n').map((line) => line.trim())
  return problems.map((what) =>
    finding('error', 'store-table', {
      what,
      meaning,
      fix:
        id && !id.is_unique && what.startsWith('ORDERS_ID_COLUMN: expected a primary key')
          ? `CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (${quoteIdentifier(id.name)});`
          : settings,
    }),
  )
}
