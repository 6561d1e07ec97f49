import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import type { OrdersTable } from '../columns.ts'
import { type Database, databaseNow, one, oneValue } from '../database.ts'
import { createIndex, lateIndex, paidIndex, sweepIndex } from '../indexes.ts'
import { lateOrders } from '../late-statements.ts'
import { nodesOf, type QueryPlan } from '../plan.ts'
import { quoteIdentifier, unquoteIdentifier } from '../quoting.ts'
import { isPaidLate, isUnpaid } from '../sql.ts'
import { buildStatements } from '../statements.ts'
import { bounded, cannotTell, PLANNING_MS } from './bounded-look.ts'

/** An index with no more orders than this is read at once, whatever they are. */
const FEW_ORDERS = 100_000

/** @param options.watchesPayments whether the latest payment must be found quickly, to watch for their silence */
export async function lookAtIndexes(options: OrdersTable & { watchesPayments?: boolean }): Promise<Finding[]> {
  const { database, columns, watchesPayments } = options
  const { table, deadline, paidAt } = columns
  const isPlain = `SELECT relkind IN ('r', 'm') OR EXISTS (SELECT FROM pg_partition_tree(oid) WHERE isleaf)
    FROM pg_class WHERE oid = $1::regclass`
  if (!(await oneValue<boolean>(database, isPlain, [table]))) {
    const what = `${table} is not a plain table: its indexes cannot be judged here`
    return [finding('info', 'store-index', { what })]
  }
  return listed(
    deadline && (await lookAtSweepIndex(options, deadline.sql)),
    watchesPayments && paidAt ? await lookAtPaidIndex(options, paidAt.sql) : undefined,
    isPaidLate(columns) ? await lookAtLateIndex(options) : undefined,
  )
}

/** Whether the sweeper's query reads little more than the orders it looks for. */
async function lookAtSweepIndex(options: OrdersTable, deadline: string): Promise<Finding> {
  const { database, columns } = options
  const values = [await databaseNow(database), null, null, 1]
  const used = await usedIndexes(database, buildStatements(columns).unpaidDueBefore, values)
  if (used === 'unknown') return cannotTell('store-index', 'whether there is one for the sweeper', PLANNING_MS)
  const [dueAt, status] = [deadline, columns.status?.sql ?? ''].map(unquoteIdentifier)
  const isByDeadline = ({ first }: UsedIndex) => first === dueAt
  const isByStatus = ({ first, second }: UsedIndex) => first === status && second === dueAt
  const fix = () => createIndex(options, sweepIndex(columns))
  if (!used?.every((index) => isByDeadline(index) || isByStatus(index))) {
    return finding('warning', 'store-index', {
      what: `the sweeper has no index to use (first column ${deadline}, for unpaid orders)`,
      meaning: 'Each sweep reads the whole table; when that takes longer than 10 s, nothing is swept.',
      fix: await fix(),
    })
  }
  const mixed = used.filter((index) => isByDeadline(index) && holdsOthers(index, status))
  const many = mixed.reduce((sum, index) => sum + index.many, 0)
  if (many <= FEW_ORDERS || many - (await estimateUnpaid(options)) <= FEW_ORDERS) {
    return ok('store-index', `one on ${deadline}, for the sweeper`)
  }
  return finding('warning', 'store-index', {
    what: `${mixed[0]?.name} is by ${deadline}, but holds other orders than unpaid ones too`,
    meaning:
      'Each sweep reads all that were ever due, including paid and cancelled ones; when that takes longer than 10 s, nothing is swept.',
    fix: await fix(),
  })
}

/** Whether the status has to be checked: the planner leaves out what the condition of a partial index already says. */
function holdsOthers({ isPartial, filter = '' }: UsedIndex, status: string | undefined): boolean {
  return !isPartial || (Boolean(status) && filter.replaceAll('"', '').includes(`.${status} `))
}

/** By the statistics, and by the status alone: orders with an unpaid status and unpaid orders are nearly the same. */
async function estimateUnpaid({ database, columns }: OrdersTable): Promise<number> {
  const condition = columns.status ? undefined : columns.condition
  const byStatus = isUnpaid({ ...columns, paidAt: undefined, condition })
  const sql = `EXPLAIN (FORMAT JSON) SELECT FROM ${columns.table} WHERE ${byStatus}`
  const plan = await bounded(database, () => one<QueryPlan>(database, sql), PLANNING_MS)
  return plan === 'unknown' ? 0 : plan['QUERY PLAN'][0].Plan['Plan Rows']
}

async function lookAtPaidIndex(options: OrdersTable, paidAt: string): Promise<Finding> {
  const { database, columns } = options
  const used = await usedIndexes(database, buildStatements(columns).newestPayment)
  const forSilence = `on ${paidAt}, for BRAKE_PAYMENT_SILENCE`
  if (used === 'unknown') return cannotTell('store-paid-index', `whether there is one on ${paidAt}`, PLANNING_MS)
  if (used?.every(({ first }) => first === unquoteIdentifier(paidAt)))
    return ok('store-paid-index', `one ${forSilence}`)
  return finding('warning', 'store-paid-index', {
    what: `there is no index ${forSilence}`,
    meaning: 'Finding the latest payment reads the whole table, again and again.',
    fix: await createIndex(options, paidIndex(columns)),
  })
}

/** Whether payments that came after a cancellation are found by an index that holds nothing else. */
async function lookAtLateIndex(options: OrdersTable): Promise<Finding> {
  const { database, columns } = options
  const paidAt = columns.paidAt?.sql ?? ''
  const used = await usedIndexes(database, lateOrders(columns))
  if (used === 'unknown') return cannotTell('store-late-index', 'whether there is one for late payments', PLANNING_MS)
  const isFit = ({ first, isPartial, filter }: UsedIndex) => first === unquoteIdentifier(paidAt) && isPartial && !filter
  if (used?.every(isFit)) return ok('store-late-index', 'one for payments that come after a cancellation')
  return finding('warning', 'store-late-index', {
    what: `there is no index for payments that come after a cancellation (on ${paidAt}, for cancelled orders)`,
    meaning: 'Sweeps look for them only as long as the table is small: a whole table is not read for that.',
    fix: await createIndex(options, lateIndex(columns)),
  })
}

/**
 * An index by which a statement reads orders, or of which it reads a partition: the columns it is ordered by (null for an
 * expression, or none), how many orders it holds, and the condition that is still checked on each.
 */
interface UsedIndex {
  name: string
  first: string | null
  second: string | null
  many: number
  isPartial: boolean
  filter: string | undefined
}

/** By which index the planner would read the orders, for each partition; undefined if it can only read a table from end to end. */
async function usedIndexes(database: Database, sql: string, values: unknown[] = []) {
  const look = async () => {
    // Leaves only an index that has the order of the query, however small the table.
    const others = ['enable_seqscan', 'enable_bitmapscan', 'enable_sort']
    await database.query(others.map((way) => `SET LOCAL ${way} = off`).join('; '))
    const { rows } = await database.query<QueryPlan>(`EXPLAIN (VERBOSE, FORMAT JSON) ${sql}`, values)
    const reads = rows.flatMap((row) => nodesOf(row['QUERY PLAN'][0].Plan)).filter((node) => node['Relation Name'])
    const names = reads.map(({ Schema, 'Index Name': name }) => name && [Schema, name].map(quoteIdentifier).join('.'))
    if (names.includes(undefined)) return undefined
    const { rows: indexes } = await database.query<UsedIndex>(INDEXES_SQL, [names])
    return indexes.map((index, n) => ({ ...index, filter: reads[n]?.Filter }))
  }
  return bounded(database, look, PLANNING_MS)
}

/* $1 text[] indexes, quoted. A row for each, in their order. */
const INDEXES_SQL = `
SELECT (SELECT relname FROM pg_class WHERE oid = coalesce(pg_partition_root(c.oid), c.oid)) AS name,
       a.attname AS first, b.attname AS second, i.indpred IS NOT NULL AS "isPartial", c.reltuples::float8 AS many
FROM unnest($1::text[]) WITH ORDINALITY AS used (name, n)
JOIN pg_class c ON c.oid = used.name::regclass
JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
LEFT JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[1] AND i.indnkeyatts > 1
ORDER BY used.n`
