import { type Finding, finding } from '../../../doctor/finding.ts'
import { unquoteIdentifier } from '../columns.ts'
import { asStoreError, sqlStateOf } from '../errors.ts'
import { idsAndDeadlines } from '../rows.ts'
import { buildStatements } from '../statements.ts'
import { bounded, PLANNING_MS } from './bounded-look.ts'
import { one } from './database.ts'
import type { OrdersTable } from './table.ts'

/** Unpaid orders of which is looked at whether a constraint would let them be cancelled. */
const SAMPLE = 1_000

interface Constraint {
  name: string
  condition: string
  /** The columns that it is on, as SQL. */
  columns: string[]
}

/**
 * Whether the cancelling statement can be planned, which runs nothing but has the table, names, types and permissions
 * checked, and whether a constraint would refuse its result.
 */
export async function lookAtCancelling(options: OrdersTable & { cancelSql: string | undefined }): Promise<Finding[]> {
  const { database, columns, mapping, cancelSql } = options
  const { cancelUnpaid, insertOutbox } = buildStatements(columns)
  const { unpaidStatuses, cancelledStatus } = mapping
  const nothing = idsAndDeadlines([])
  if (cancelSql !== undefined) {
    const refusal =
      (await refusalOf(database, `EXPLAIN ${cancelSql}`, nothing)) ??
      (await refusalOf(database, `EXPLAIN ${insertOutbox}`, nothing))
    return [shopSqlFinding(refusal)]
  }
  const refusal = await refusalOf(database, `EXPLAIN ${cancelUnpaid}`, [...nothing, unpaidStatuses, cancelledStatus])
  if (refusal) {
    return [
      finding('error', 'store-table', {
        what: `the statement that cancels fails: ${refusal}`,
        meaning: 'The daemon does not start, and no order can be cancelled.',
        fix: '# let ORDERS_TABLE be a table, or a view, that takes UPDATE, with a status column that has room for ORDERS_CANCELLED_STATUS; or write your own statement (CANCEL_SQL_FILE)',
      }),
    ]
  }
  const findings = await lookAtDomain(options)
  for (const constraint of await constraintsOn(options)) {
    const refused = await bounded(database, () => refusedBy(options, constraint))
    if (refused === 'unknown' || refused === undefined) continue
    findings.push(
      finding('error', 'store-table', {
        what: `the constraint ${constraint.name} does not take '${cancelledStatus}'${refused}`,
        meaning: 'Each attempt to cancel such an order fails.',
        fix: `# correct ORDERS_CANCELLED_STATUS, or the constraint: CHECK (${constraint.condition.replace(/\s+/g, ' ')})`,
      }),
    )
  }
  return [...findings, ...(await lookAtReferences(options))]
}

/** A cast to the type of the column itself, which has the checks of a domain made. */
async function lookAtDomain({ database, columns, mapping }: OrdersTable): Promise<Finding[]> {
  const { type } = await one<{ type: string }>(
    database,
    'SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2',
    [columns.table, unquoteIdentifier(columns.status)],
  )
  const refusal = await refusalOf(database, `SELECT $1::text::${type}`, [mapping.cancelledStatus])
  if (!refusal) return []
  return [
    finding('error', 'store-table', {
      what: `the type ${type} does not take '${mapping.cancelledStatus}': ${refusal}`,
      meaning: 'Each attempt to cancel an order fails.',
      fix: `# correct ORDERS_CANCELLED_STATUS, or the type ${type}`,
    }),
  ]
}

/** A table of the statuses that there are, which must have ours. */
async function lookAtReferences({ database, columns, mapping }: OrdersTable): Promise<Finding[]> {
  const { table, status, statusType } = columns
  const { cancelledStatus } = mapping
  const { rows } = await database.query<{ name: string; target: string; column: string }>(
    `SELECT quote_ident(c.conname) AS name, c.confrelid::regclass::text AS target, quote_ident(t.attname) AS column
     FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND ARRAY[a.attnum] = c.conkey
     JOIN pg_attribute t ON t.attrelid = c.confrelid AND ARRAY[t.attnum] = c.confkey
     WHERE c.contype = 'f' AND c.conrelid = $1::regclass AND a.attname = $2
       AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false' ORDER BY 1`,
    [table, unquoteIdentifier(status)],
  )
  const findings: Finding[] = []
  for (const { name, target, column } of rows) {
    const sql = `SELECT EXISTS (SELECT FROM ${target} WHERE ${column} = $1::text::${statusType}) AS known`
    const known = await bounded(
      database,
      async () => (await one<{ known: boolean }>(database, sql, [cancelledStatus])).known,
    )
    if (known !== false) continue
    findings.push(
      finding('error', 'store-table', {
        what: `the constraint ${name} does not take '${cancelledStatus}': ${target} has no such ${column}`,
        meaning: 'Each attempt to cancel an order fails.',
        fix: `# correct ORDERS_CANCELLED_STATUS, or add it to ${target}`,
      }),
    )
  }
  return findings
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

/** Why the database refuses a statement; undefined if it does not, or cannot be asked now. */
async function refusalOf(
  database: OrdersTable['database'],
  sql: string,
  values: unknown[],
): Promise<string | undefined> {
  const refusal = await bounded(
    database,
    async () => {
      try {
        await database.query(sql, values)
        return undefined
      } catch (error) {
        const state = sqlStateOf(error)
        if (state === undefined || state === '57014' || state === '55P03') throw error
        return asStoreError(error).message
      }
    },
    PLANNING_MS,
  )
  return refusal === 'unknown' ? undefined : refusal
}

/** Those that cancelling an order can violate. `conenforced` came with PostgreSQL 18. */
async function constraintsOn({ database, columns }: OrdersTable): Promise<Constraint[]> {
  const { table, status, cancelledAt } = columns
  const { rows } = await database.query<Constraint>(
    `SELECT quote_ident(c.conname) AS name, pg_get_expr(c.conbin, c.conrelid) AS condition,
            array_agg('"' || replace(a.attname, '"', '""') || '"' ORDER BY a.attnum) AS columns
     FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
     WHERE c.contype = 'c' AND c.conrelid = $1::regclass AND to_jsonb(c)->>'conenforced' IS DISTINCT FROM 'false'
     GROUP BY c.oid, c.conname, c.conbin, c.conrelid HAVING bool_or(a.attname = ANY ($2)) ORDER BY 1`,
    [table, [status, cancelledAt?.sql].filter((name) => name !== undefined).map(unquoteIdentifier)],
  )
  return rows
}

/** Of which orders a constraint would refuse what cancelling makes of them, in words; undefined: of none that was looked at. */
async function refusedBy(options: OrdersTable, constraint: Constraint): Promise<string | undefined> {
  const { database, columns, mapping } = options
  const { table, status, statusType, paidAt, cancelledAt } = columns
  const written = new Map([[status, `$1::text::${statusType}`]])
  if (cancelledAt) {
    written.set(cancelledAt.sql, cancelledAt.type === 'timestamp' ? `now() AT TIME ZONE 'UTC'` : 'now()')
  }
  // The condition names its columns without a table, so these are all that there may be.
  const row = constraint.columns.map((name) => `${written.get(name) ?? `o.${name}`} AS ${name}`).join(', ')
  const isWritten = constraint.columns.every((name) => written.has(name))
  const unpaid = `o.${status} = ANY ($2::${statusType}[])${paidAt ? ` AND o.${paidAt.sql} IS NULL` : ''}`
  const rows = isWritten ? 'WHERE $2::text[] IS NOT NULL' : `FROM ${table} o WHERE ${unpaid}`
  const { looked, refused } = await one<{ looked: number; refused: number }>(
    database,
    `SELECT count(*)::int AS looked, count(*) FILTER (WHERE NOT (${constraint.condition}))::int AS refused
     FROM (SELECT ${row} ${rows} AND $1::text IS NOT NULL LIMIT ${SAMPLE}) o`,
    [mapping.cancelledStatus, mapping.unpaidStatuses],
  )
  if (refused === 0) return undefined
  return isWritten ? '' : `: so for ${refused} of ${looked} unpaid orders that were looked at`
}
