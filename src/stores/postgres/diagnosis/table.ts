import { type Finding, finding } from '../../../doctor/finding.ts'
import type { ColumnRow, OrdersColumns, OrdersMapping } from '../columns.ts'
import type { Database } from '../database.ts'
import { quoteIdentifier, quoteTable } from '../quoting.ts'

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
  const hidden = rows[0]?.schema
  if (!hidden) return undefined
  return finding('error', 'store-permissions', {
    what: `the role ${role} may not use the schema ${hidden}`,
    meaning: 'The daemon does not start.',
    fix: `GRANT USAGE ON SCHEMA ${hidden} TO ${role};`,
  })
}

const MISMATCH = { meaning: 'The daemon does not start.', fix: '# correct the setting, or the table' }

/** Where the table is not as the settings say: what `matchColumns` says of its columns. Without any there is no such table. */
export async function mismatches(options: {
  database: Database
  mapping: OrdersMapping
  rows: readonly ColumnRow[]
  problems: readonly string[]
}): Promise<Finding[]> {
  const { database, mapping, rows, problems } = options
  const [first] = rows
  if (!first) return [await missingTable(database, mapping.table)]
  const table = `${quoteIdentifier(first.schema)}.${quoteIdentifier(first.relation)}`
  const fix = `CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (${quoteIdentifier(mapping.idColumn)});`
  return problems.map((what) => {
    const isNotUnique = what.startsWith('ORDERS_ID_COLUMN: expected a primary key')
    return finding('error', 'store-table', { ...MISMATCH, what, ...(isNotUnique && { fix }) })
  })
}

/** Names the tables that differ in case only, or are in another schema. */
async function missingTable(database: Database, table: string): Promise<Finding> {
  const { rows } = await database.query<{ name: string }>(
    `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, parse_ident($1) AS wanted
     WHERE lower(c.relname) = lower(wanted[cardinality(wanted)]) AND c.relkind IN ('r', 'p', 'v', 'f')
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 5`,
    [quoteTable(table)],
  )
  return finding('error', 'store-table', {
    ...MISMATCH,
    what: `there is no table ${table} here (names are case-sensitive)`,
    ...(rows.length > 0 && { fix: ['# there is:', ...rows.map(({ name }) => `ORDERS_TABLE=${name}`)] }),
  })
}
