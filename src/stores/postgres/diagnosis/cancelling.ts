import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import { readActors } from '../actors.ts'
import type { ColumnRow } from '../catalogue.ts'
import type { OrdersColumns, OrdersTable } from '../columns.ts'
import { type Database, one, oneValue } from '../database.ts'
import { asStoreError, sqlStateOf } from '../errors.ts'
import { valueAt } from '../instants.ts'
import { quoteIdentifier, quoteLiteral, unquoteIdentifier } from '../quoting.ts'
import { isUnpaid } from '../sql.ts'
import { namesColumn } from '../sql-fragment.ts'
import { explanations } from '../statements.ts'
import { bounded, PLANNING_MS } from './bounded-look.ts'

/** Unpaid orders on which each constraint is tried. */
const ORDERS_CHECKED = 1_000

type Options = OrdersTable & { rows: readonly ColumnRow[]; cancelSql: string | undefined }

/**
 * Whether the cancelling statement can be planned, which checks the table, names, types and permissions and runs
 * nothing, and whether the type of the column or a constraint would refuse its result.
 */
export async function lookAtCancelling(options: Options): Promise<Finding[]> {
  const { database, columns, cancelSql } = options
  let refusal: string | undefined
  for (const { sql, values } of explanations(columns, cancelSql)) refusal ??= await refusalOf(database, sql, values)
  if (cancelSql) return [shopSqlFinding(refusal)]
  if (refusal === undefined)
    return listed(await lookAtType(options), await lookAtConstraints(options), await lookAtEnd(options))
  const refused = finding('error', 'store-table', {
    what: `the statement that cancels fails: ${refusal}`,
    meaning: 'The daemon does not start, and no order can be cancelled.',
    fix: '# let ORDERS_TABLE be a table, or a view, that takes UPDATE, with a status column that has room for ORDERS_CANCELLED_STATUS; or write your own statement (CANCEL_SQL_FILE)',
  })
  return [refused]
}

function shopSqlFinding(refusal: string | undefined): Finding {
  if (refusal === undefined) {
    return finding('info', 'store-cancel-sql', {
      what: 'orders are cancelled by your own statement (CANCEL_SQL_FILE)',
      meaning: 'Its names and permissions are in order; what it answers is checked when the daemon starts.',
    })
  }
  return finding('error', 'store-cancel-sql', {
    what: `your own statement (CANCEL_SQL_FILE), or the one for its events, fails: ${refusal}`,
    meaning: 'The daemon does not start, and no order can be cancelled.',
    fix: '# correct the statement; see docs/cancel-sql.md',
  })
}

/** A cast to the column's own type runs the checks of a domain. */
async function lookAtType({ database, columns }: OrdersTable): Promise<Finding | undefined> {
  if (!columns.status) return undefined
  const typeOf =
    'SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2'
  const type = await oneValue<string>(database, typeOf, [columns.table, unquoteIdentifier(columns.status.sql)])
  const refusal = await refusalOf(database, `SELECT $1::text::${type}`, [columns.cancelledStatus])
  if (refusal === undefined) return undefined
  return finding('error', 'store-table', {
    what: `the type ${type} does not take '${columns.cancelledStatus}': ${refusal}`,
    meaning: 'Each attempt to cancel an order fails.',
    fix: `# correct ORDERS_CANCELLED_STATUS, or the type ${type}`,
  })
}

/** Why the database refuses a statement; undefined if it does not, or cannot be asked now. */
export async function refusalOf(database: Database, sql: string, values: unknown[]): Promise<string | undefined> {
  const look = async () => {
    try {
      await database.query(sql, values)
      return undefined
    } catch (error) {
      if ([undefined, '57014', '55P03'].includes(sqlStateOf(error))) throw error
      return asStoreError(error).message
    }
  }
  const refusal = await bounded(database, look, PLANNING_MS)
  return refusal === 'unknown' ? undefined : refusal
}

/** Whether orders without a status would still count as unpaid, where nothing but the statement acts on them. */
async function lookAtEnd({ database, columns, rows }: Options): Promise<Finding | undefined> {
  const { table, status, condition } = columns
  if (status || !condition || rows.some((row) => row.is_generated)) return undefined
  if ((await readActors({ database, columns })).names.length > 0) return undefined
  const written = writtenBy(columns)
  const row = rows
    .filter(({ name }) => namesColumn(condition.sql, name))
    .map(({ name }) => quoteIdentifier(name))
    .map((column) => `${written.get(column) ?? `o.${column}`} AS ${column}`)
  const source = `SELECT ${row.join(', ')} FROM ${table} o WHERE ${isUnpaid(columns)} LIMIT ${ORDERS_CHECKED}`
  const sql = `SELECT count(*)::int AS looked, count(*) FILTER (WHERE ${condition.sql})::int AS unpaid FROM (${source}) o`
  const found = await bounded(database, () => one<{ looked: number; unpaid: number }>(database, sql))
  if (found === 'unknown' || found.unpaid === 0) return undefined
  return finding('error', 'store-table', {
    what: `ORDERS_SET does not end what ORDERS_CONDITION asks for (${found.unpaid} of the ${found.looked} unpaid orders checked)`,
    meaning: 'Each attempt to cancel such an order fails.',
    fix: '# correct ORDERS_SET: closed_at = now() ends closed_at IS NULL',
  })
}

/** What a cancellation writes into each column. */
function writtenBy({ status, cancelledAt, cancelledStatus, assigned }: OrdersColumns): Map<string, string> {
  const written = new Map(assigned.map(({ column, sql }) => [column, `(${sql})`]))
  if (status) written.set(status.sql, `${quoteLiteral(cancelledStatus)}::${status.type}`)
  if (cancelledAt) written.set(cancelledAt.sql, valueAt(cancelledAt, 'now()', 'atMost'))
  return written
}

async function lookAtConstraints({ database, columns }: OrdersTable): Promise<Finding[]> {
  const { table, cancelledStatus } = columns
  const written = writtenBy(columns)
  const { rows } = await database.query<Constraint>(CONSTRAINTS_SQL, [table, [...written.keys()]])
  const findings: Finding[] = []
  for (const { name, columns: on, condition, target, key } of rows) {
    const isWritten = on.every((column) => written.has(column))
    const row = on.map((column) => `${written.get(column) ?? `o.${column}`} AS ${column}`).join(', ')
    const source = isWritten ? '' : `FROM ${table} o WHERE ${isUnpaid(columns)} LIMIT ${ORDERS_CHECKED}`
    const holds = condition ?? `EXISTS (SELECT FROM ${target} t WHERE t.${key} = o.${on[0]})`
    const sql = `SELECT count(*)::int AS looked, count(*) FILTER (WHERE NOT (${holds}))::int AS refused FROM (SELECT ${row} ${source}) o`
    const found = await bounded(database, () => one<{ looked: number; refused: number }>(database, sql))
    if (found === 'unknown' || found.refused === 0) continue
    const those = isWritten ? '' : ` (${found.refused} of the ${found.looked} unpaid orders checked)`
    const refused = finding('error', 'store-table', {
      what: `the constraint ${name} does not take '${cancelledStatus}'${target ? `: ${target} has no such ${key}` : those}`,
      meaning: `Each attempt to cancel ${isWritten ? 'an' : 'such an'} order fails.`,
      fix: `# correct ORDERS_CANCELLED_STATUS, or ${target ? `add it to ${target}` : `the constraint: CHECK (${condition?.replace(/\s+/g, ' ')})`}`,
    })
    findings.push(refused)
  }
  return findings
}

/** `columns` as SQL; `condition` of a CHECK, which names its columns without a table; `target` and `key` of a foreign key. */
interface Constraint extends Record<'condition' | 'target' | 'key', string | null> {
  name: string
  columns: string[]
}

/* Those that cancelling an order can violate: $1 the table, $2 the columns that are written. `conenforced` came with PostgreSQL 18. */
const CONSTRAINTS_SQL = `
SELECT * FROM (
  SELECT quote_ident(c.conname) AS name, pg_get_expr(c.conbin, c.conrelid) AS condition,
         ARRAY(SELECT '"' || replace(attname, '"', '""') || '"' FROM pg_attribute
               WHERE attrelid = c.conrelid AND attnum = ANY (c.conkey) ORDER BY attnum) AS columns,
         nullif(c.confrelid, 0)::regclass::text AS target,
         (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = c.confrelid AND attnum = c.confkey[1]) AS key
  FROM pg_constraint c
  WHERE (c.contype = 'c' OR c.contype = 'f' AND cardinality(c.conkey) = 1) AND c.conrelid = $1::regclass
    AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false'
) c
WHERE columns && $2 ORDER BY condition IS NULL, name`

/** What else runs when an order is cancelled. */
export async function lookAtTriggers(table: OrdersTable): Promise<Finding> {
  const { names } = await readActors(table)
  if (names.length === 0) return ok('store-triggers', 'none runs when an order is cancelled')
  return finding('info', 'store-triggers', {
    what: `runs when an order is cancelled: ${names.join(', ')}`,
    meaning:
      'In the same transaction: an error in it blocks the cancellation, a wait in it delays other orders, and an order whose cancellation it undoes is rejected.',
  })
}
