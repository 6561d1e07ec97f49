import { type Finding, finding } from '../../../doctor/finding.ts'
import { OrderExpiryError } from '../../../errors.ts'
import { type ColumnRow, type OrdersColumns, type OrdersMapping, quoteIdentifier, quoteTable } from '../columns.ts'
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
    `SELECT quote_ident(n.nspname) AS schema FROM pg_namespace n, parse_ident($1) AS name
     WHERE cardinality(name) = 2 AND n.nspname = name[1] AND NOT has_schema_privilege(n.oid, 'USAGE')`,
    [quoteTable(mapping.table)],
  )
  const [hidden] = rows
  if (!hidden) return undefined
  return finding('error', 'store-permissions', {
    what: `the role ${role} may not use the schema ${hidden.schema}`,
    meaning: 'The daemon does not start.',
    fix: `GRANT USAGE ON SCHEMA ${hidden.schema} TO ${role};`,
  })
}

const MISMATCH = { meaning: 'The daemon does not start.', fix: '# correct the setting, or the table' }

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
  const [first] = rows
  if (!first) return [await missingTable(database, mapping.table)]
  const id = rows.find(({ name }) => name === mapping.idColumn)
  // The first line says that there is a list, the others are the list.
  const [, ...problems] = error.message.split('\n').map((line) => line.trim())
  return problems.map((what) => {
    const isNotUnique = id && !id.is_unique && what.startsWith('ORDERS_ID_COLUMN: expected a primary key')
    if (!isNotUnique) return finding('error', 'store-table', { ...MISMATCH, what })
    const table = `${quoteIdentifier(first.schema)}.${quoteIdentifier(first.relation)}`
    const fix = `CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (${quoteIdentifier(id.name)});`
    return finding('error', 'store-table', { ...MISMATCH, what, fix })
  })
}

/** Names those that differ in case only, or are in another schema. */
async function missingTable(database: Database, table: string): Promise<Finding> {
  const { rows: found } = await database.query<{ name: string }>(
    `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, parse_ident($1) AS wanted
     WHERE lower(c.relname) = lower(wanted[cardinality(wanted)]) AND c.relkind IN ('r', 'p', 'v', 'f')
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 5`,
    [quoteTable(table)],
  )
  return finding('error', 'store-table', {
    ...MISMATCH,
    what: `there is no table ${table} here (names are case-sensitive)`,
    ...(found.length > 0 && { fix: ['# there is:', ...found.map(({ name }) => `ORDERS_TABLE=${name}`)] }),
  })
}
