import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import type { OrdersTable } from '../columns.ts'
import { databaseNow, one, oneValue } from '../database.ts'
import { createIndex, paidIndex, sweepIndex } from '../indexes.ts'
import { unquoteIdentifier } from '../quoting.ts'
import { buildStatements } from '../statements.ts'
import { bounded, cannotTell, PLANNING_MS } from './bounded-look.ts'
import { type QueryPlan, type UsedIndex, usedIndexes } from './used-indexes.ts'

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
  )
}

/** Whether the sweeper's query reads little more than the orders it looks for. */
async function lookAtSweepIndex(options: OrdersTable, deadline: string): Promise<Finding> {
  const { database, columns } = options
  const values = [columns.unpaidStatuses, await databaseNow(database), null, null, 1]
  const used = await usedIndexes(database, buildStatements(columns).unpaidDueBefore, values)
  if (used === 'unknown') return cannotTell('store-index', 'whether there is one for the sweeper', PLANNING_MS)
  const [dueAt, status] = [deadline, columns.status].map(unquoteIdentifier)
  const isByDeadline = ({ first }: UsedIndex) => first === dueAt
  const isByStatus = ({ first, second }: UsedIndex) => first === status && second === dueAt
  const fix = () => createIndex(options, sweepIndex(columns))
  if (!used?.every((index) => isByDeadline(index) || isByStatus(index))) {
    return finding('warning', 'store-index', {
      what: `there is none that the sweeper can use (first column ${deadline}, for unpaid orders)`,
      meaning: 'Each sweep reads the whole table; when that takes longer than 10 s, nothing is swept.',
      fix: await fix(),
    })
  }
  const mixed = used.filter((index) => isByDeadline(index) && holdsOthers(index, columns.paidAt?.sql))
  const many = mixed.reduce((sum, index) => sum + index.many, 0)
  if (many <= FEW_ORDERS || many - (await estimateUnpaid(options)) <= FEW_ORDERS) {
    return ok('store-index', `one on ${deadline}, for the sweeper`)
  }
  return finding('warning', 'store-index', {
    what: `${mixed[0]?.name} is by ${deadline}, but holds other orders than unpaid ones too`,
    meaning:
      'Each sweep reads all that were ever due, paid ones and cancelled ones; when that takes longer than 10 s, nothing is swept.',
    fix: await fix(),
  })
}

/** Whether the status has to be checked: the planner leaves out what the condition of a partial index already says. */
function holdsOthers({ filter }: UsedIndex, paidAt: string | undefined): boolean {
  const unquoted = (sql: string) => sql.replaceAll('"', '')
  return filter !== undefined && unquoted(filter).replace(/^\(\w+\./, '(') !== `(${unquoted(paidAt ?? '')} IS NULL)`
}

/** By the statistics, and by the status alone: orders with an unpaid status and unpaid orders are nearly the same. */
async function estimateUnpaid({ database, columns }: OrdersTable): Promise<number> {
  const { table, status, statusType, unpaidStatuses } = columns
  const sql = `EXPLAIN (FORMAT JSON) SELECT FROM ${table} WHERE ${status} = ANY ($1::${statusType}[])`
  const plan = await bounded(database, () => one<QueryPlan>(database, sql, [unpaidStatuses]), PLANNING_MS)
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
    what: `there is none ${forSilence}`,
    meaning: 'To find the latest payment the whole table is read, again and again.',
    fix: await createIndex(options, paidIndex(columns)),
  })
}
