import { type Finding, finding } from '../../../doctor/finding.ts'
import type { ColumnRow } from '../columns.ts'
import type { Database } from '../database.ts'
import { quoteIdentifier, quoteTable } from '../quoting.ts'
import type { PostgresSettings } from '../settings.ts'

const MISMATCH = { meaning: 'The daemon does not start.', fix: '# correct the setting, or the table' }

/** Where the table is not as the settings say: what `matchColumns` says of its columns. Without any there is no such table. */
export async function mismatches(options: {
  database: Database
  settings: PostgresSettings
  rows: readonly ColumnRow[]
  problems: readonly string[]
}): Promise<Finding[]> {
  const { database, settings, rows, problems } = options
  const [first] = rows
  if (!first) return [await missingTable(database, settings.ORDERS_TABLE)]
  const [schema, table, id] = [first.schema, first.relation, settings.ORDERS_ID_COLUMN].map(quoteIdentifier)
  const fix = `CREATE UNIQUE INDEX CONCURRENTLY ON ${schema}.${table} (${id});`
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
