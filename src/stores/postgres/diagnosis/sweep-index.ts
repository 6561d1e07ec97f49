import { type Finding, finding } from '../../../doctor/finding.ts'
import { unquoteIdentifier } from '../columns.ts'
import { sqlStateOf } from '../errors.ts'
import { sweepIndex } from '../indexes.ts'
import { buildStatements } from '../statements.ts'
import { bounded, PLANNING_MS } from './bounded-look.ts'
import { createIndex } from './create-index.ts'
import { databaseNow, one } from './database.ts'
import type { OrdersTable } from './table.ts'

/** Orders in an index that is read from its beginning in no time, whatever they are. */
const FEW = 100_000

interface Candidate {
  name: string
  /** Of a partitioned table, those of the index on each partition. */
  parts: string[]
  /** Led by the status and then the deadline, not by the deadline. */
  byStatus: boolean
  /** How many orders it holds, as far as it is known. */
  many: number
  /** The condition of a partial index. */
  condition: string | null
}

/** Whether the sweeper's query reads little more than the orders that it looks for. */
export async function lookAtSweepIndex(options: OrdersTable): Promise<Finding> {
  const { database, columns, mapping } = options
  const deadline = columns.deadline?.sql
  const { rows: candidates } = await database.query<Candidate>(CANDIDATES_SQL, [
    columns.table,
    unquoteIdentifier(deadline ?? ''),
    unquoteIdentifier(columns.status),
  ])
  let holdsMore: Candidate | undefined
  const partial: string[] = []
  for (const candidate of candidates) {
    const holds = await whatItHolds(options, candidate.condition)
    if (holds === 'not-all-unpaid') continue
    if (candidate.byStatus) return sound(deadline)
    if (holds === 'unpaid') partial.push(candidate.name, ...candidate.parts)
    else if (!holdsMore || candidate.many < holdsMore.many) holdsMore = candidate
  }
  if (partial.length > 0 && (await isUsed(options, partial))) return sound(deadline)
  if (holdsMore && holdsMore.many <= FEW) return sound(deadline)
  const fix = await createIndex(options, sweepIndex(columns, mapping))
  if (!holdsMore) {
    return finding('warning', 'store-index', {
      what: `there is none that the sweeper can use (first column ${deadline}, for unpaid orders)`,
      meaning: 'Each sweep reads the whole table; when that takes longer than 10 s, nothing is swept.',
      fix,
    })
  }
  return finding('warning', 'store-index', {
    what: `${holdsMore.name} is by ${deadline}, but holds other orders than unpaid ones too`,
    meaning:
      'Each sweep reads all that were ever due, paid ones and cancelled ones; when that takes longer than 10 s, nothing is swept.',
    fix,
  })
}

function sound(deadline: string | undefined): Finding {
  return finding('ok', 'store-index', { what: `one on ${deadline}, for the sweeper` })
}

/**
 * What the condition of an index makes of orders: one of each unpaid status, as early as can be, and such as the sweeper
 * does not look for.
 */
async function whatItHolds(
  { database, columns, mapping }: OrdersTable,
  condition: string | null,
): Promise<'not-all-unpaid' | 'unpaid' | 'more'> {
  if (condition === null) return 'more'
  const { schema, table, status, statusType, deadline, paidAt } = columns
  const held = await bounded<{ all: boolean; more: boolean } | undefined>(
    database,
    async () => {
      try {
        return await one<{ all: boolean; more: boolean }>(
          database,
          `SELECT bool_and((${condition}) IS TRUE) FILTER (WHERE "order-expiry: unpaid") AS all,
                coalesce(bool_or(${condition}) FILTER (WHERE NOT "order-expiry: unpaid"), false) AS more
         FROM (
           SELECT s.status::${statusType} AS ${status}, '-infinity'::${deadline?.type} AS ${deadline?.sql},
                  ${paidAt ? `CASE WHEN s.paid THEN now() END::${paidAt.type} AS ${paidAt.sql},` : ''}
                  s.unpaid AS "order-expiry: unpaid"
           FROM (
             SELECT unnest($1::text[]) AS status, true AS unpaid, false AS paid
             UNION ALL SELECT $2, false, false
             UNION ALL SELECT f.status, false, true FROM pg_stats p, unnest(p.most_common_vals::text::text[]) AS f (status)
             WHERE p.schemaname || '' = $3 AND p.tablename = $4 AND p.attname = $5 AND f.status <> ALL ($1)
           ) s OFFSET 0
         ) o`,
          [
            mapping.unpaidStatuses,
            mapping.cancelledStatus,
            schema,
            unquoteIdentifier(table.slice(schema.replaceAll('"', '""').length + 3)),
            unquoteIdentifier(status),
          ],
        )
      } catch (error) {
        // On another column, or with what can fail: the sweeper's query does not imply it.
        if (sqlStateOf(error) === undefined) throw error
        return undefined
      }
    },
    PLANNING_MS,
  )
  if (held === 'unknown' || !held?.all) return 'not-all-unpaid'
  return held.more ? 'more' : 'unpaid'
}

/** Whether the planner sees that the query asks only for what is in one of these indexes. */
async function isUsed({ database, columns, mapping }: OrdersTable, indexes: readonly string[]): Promise<boolean> {
  const used = await bounded(
    database,
    async () => {
      // What is left is an index that has the order of the query, however small the table.
      await database.query(
        'SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off',
      )
      const values = [mapping.unpaidStatuses, await databaseNow(database), null, null, 1]
      const sql = `EXPLAIN (FORMAT JSON) ${buildStatements(columns).unpaidDueBefore}`
      const plan = JSON.stringify((await database.query(sql, values)).rows)
      // No relation at all: a partitioned table without a partition.
      return (
        !plan.includes('"Relation Name"') ||
        indexes.some((name) => plan.includes(`"Index Name":${JSON.stringify(name)}`))
      )
    },
    PLANNING_MS,
  )
  return used !== false
}

/* $1 the table, $2 the deadline column, $3 the status column. */
const CANDIDATES_SQL = `
SELECT c.relname AS name, a.attname = $3 AS "byStatus", pg_get_expr(i.indpred, i.indrelid) AS condition,
       ARRAY(SELECT l.relname::text FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid) AS parts,
       greatest(c.reltuples, (SELECT sum(l.reltuples) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
                              WHERE t.isleaf AND l.reltuples > 0))::float8 AS many
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
LEFT JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[1] AND i.indnkeyatts > 1
WHERE i.indrelid = $1::regclass AND i.indisvalid AND i.indisready AND m.amname = 'btree'
  AND (a.attname = $2 OR (a.attname = $3 AND b.attname = $2))
ORDER BY 1`
