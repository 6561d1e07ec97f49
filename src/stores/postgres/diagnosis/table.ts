import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import { readActors } from '../actors.ts'
import type { ColumnRow } from '../catalogue.ts'
import type { OrdersTable } from '../columns.ts'
import { type Database, one } from '../database.ts'
import { quoteIdentifier, quoteTable } from '../quoting.ts'
import type { PostgresSettings } from '../settings.ts'
import { namesColumn } from '../sql-fragment.ts'

/** Without USAGE on its schema, the table cannot even be looked up. @param name of the table as SQL */
export async function lookAtSchema(
  database: Database,
  { name, role }: { name: string | undefined; role: string },
): Promise<Finding | undefined> {
  const { rows } = await database.query<{ schema: string }>(
    `SELECT quote_ident(n.nspname) AS schema FROM pg_namespace n, parse_ident($1) AS name
     WHERE cardinality(name) = 2 AND n.nspname = name[1] AND NOT has_schema_privilege(n.oid, 'USAGE')`,
    [name],
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

/** Where the table does not match the settings, as `matchColumns` says. Without columns there is no such table. */
export async function mismatches(
  { database, settings }: { database: Database; settings: PostgresSettings },
  { first, problems }: { first: ColumnRow | undefined; problems: readonly string[] },
): Promise<Finding[]> {
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

/** @param options.cancelSql the shop's own statement, which then writes to the table instead of us */
export async function lookAtPermissions(
  options: OrdersTable & {
    rows: readonly ColumnRow[]
    role: string
    cancelSql: string | undefined
    areDelivered?: boolean | undefined
  },
): Promise<Finding[]> {
  const { database, columns, role, areDelivered = false } = options
  const { table, outbox, registry } = columns
  const { read, written } = neededColumns(options)
  const { unread, unwritten, mayRecord, mayDeliver, mayKnow } = await one<
    Record<'unread' | 'unwritten', string[]> & Record<'mayRecord' | 'mayDeliver' | 'mayKnow', boolean>
  >(
    database,
    `SELECT ARRAY(SELECT c FROM unnest($2::text[]) c WHERE NOT has_column_privilege($1, c, 'SELECT')) AS unread,
            ARRAY(SELECT c FROM unnest($3::text[]) c WHERE NOT has_column_privilege($1, c, 'UPDATE')) AS unwritten,
            to_regclass($4) IS NULL OR has_table_privilege(to_regclass($4), 'INSERT') AS "mayRecord",
            to_regclass($4) IS NULL OR (has_table_privilege(to_regclass($4), 'UPDATE')
              AND has_table_privilege(to_regclass($4), 'DELETE')) AS "mayDeliver",
            to_regclass($5) IS NULL OR has_table_privilege(to_regclass($5), 'SELECT') AS "mayKnow"`,
    [table, read, written, outbox, registry],
  )
  const list = (names: readonly string[]) => names.map(quoteIdentifier).join(', ')
  const missing = [
    unread.length > 0 && { what: `read ${list(unread)}`, grant: `SELECT (${list(read)}) ON ${table}` },
    unwritten.length > 0 && { what: `write ${list(unwritten)}`, grant: `UPDATE (${list(written)}) ON ${table}` },
    !mayRecord && { what: 'add to the outbox', grant: `INSERT, SELECT ON ${outbox}` },
    areDelivered && !mayDeliver && { what: 'deliver events', grant: `SELECT, UPDATE, DELETE ON ${outbox}` },
    !mayKnow && { what: `read ${registry}`, grant: `SELECT ON ${registry}` },
  ].filter((one) => one !== false)
  const allowed = ok('store-permissions', `the role ${role} may do what is needed`)
  const refused = finding('error', 'store-permissions', {
    what: `the role ${role} may not ${missing.map(({ what }) => what).join(', nor ')}`,
    meaning: 'The daemon does not start, or no order can be cancelled.',
    fix: missing.map(({ grant }) => `GRANT ${grant} TO ${role};`),
  })
  return listed(missing.length > 0 ? refused : allowed, await lookAtRowSecurity(options))
}

/** The names of the columns that our statements read and write. */
function neededColumns(options: OrdersTable & { rows: readonly ColumnRow[]; cancelSql: string | undefined }) {
  const { columns, rows, cancelSql } = options
  const { id, status, deadline, paidAt, cancelledAt, condition, assigned } = columns
  const sqls = [condition, ...(cancelSql ? [] : assigned)].map((one) => one?.sql ?? '')
  const named = [id, status?.sql, deadline?.sql, paidAt?.sql, cancelledAt?.sql].filter((sql) => sql !== undefined)
  const isRead = (name: string) => named.includes(quoteIdentifier(name)) || sqls.some((sql) => namesColumn(sql, name))
  const isWritten = (name: string) =>
    [status?.sql, cancelledAt?.sql, ...assigned.map(({ column }) => column)].includes(quoteIdentifier(name))
  const names = rows.map(({ name }) => name)
  return {
    // What the shop's own statement has kept is told by the whole row.
    read: cancelSql ? names : names.filter(isRead),
    written: cancelSql ? [] : names.filter(isWritten),
  }
}

async function lookAtRowSecurity(options: OrdersTable & { role: string }): Promise<Finding | undefined> {
  const { columns, role } = options
  if (!(await readActors(options)).hasRowSecurity) return undefined
  return finding('warning', 'store-row-security', {
    what: `row security is on for ${columns.table}, or a table beneath it, and the role ${role} is subject to it`,
    meaning:
      'Orders that its policies hide count as missing, and are never cancelled. Orders that it may see but not update are rejected (STORE_REJECTED), and given up after MAX_ATTEMPTS.',
    fix: ['# if the policies are not meant for it:', `ALTER ROLE ${role} BYPASSRLS;`],
  })
}
