import { type Finding, finding, ok } from '../../../doctor/finding.ts'
import { overdueFinding } from '../../../doctor/overdue-finding.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import type { OrdersTable } from '../columns.ts'
import { databaseNow } from '../database.ts'
import { valueAt } from '../instants.ts'
import { isUnpaid } from '../sql.ts'
import { buildStatements, SWEEP_SETTINGS } from '../statements.ts'
import { bounded, cannotTell, countRows } from './bounded-look.ts'

const MOST_ORDERS_COUNTED = 1_000

export async function lookAtDeadlines({ database, columns }: OrdersTable): Promise<Finding> {
  const { table, deadline } = columns
  if (!deadline) {
    return finding('warning', 'store-deadlines', {
      what: 'ORDERS_DEADLINE_COLUMN is empty: only the jobs know the deadlines',
      meaning: 'The sweeper cannot see what is overdue: an order whose job Redis loses is never cancelled.',
      fix: '# add a timestamptz column, write it when an order is placed, and name it in ORDERS_DEADLINE_COLUMN',
    })
  }
  const without = `${isUnpaid(columns)} AND ${deadline.sql} IS NULL`
  const orders = await countRows(database, `${table} WHERE ${without}`, MOST_ORDERS_COUNTED)
  if (orders === 'unknown') return cannotTell('store-deadlines', 'whether unpaid orders without a deadline exist')
  if (orders === 0) return ok('store-deadlines', 'every unpaid order has one')
  return finding('warning', 'store-deadlines', {
    what: `${countUpTo(MOST_ORDERS_COUNTED, orders, 'unpaid order')} without a deadline`,
    meaning: 'The sweeper never cancels these; only a job that brings a deadline of its own does.',
    fix: [
      '# give them one, and write it when an order is placed:',
      `UPDATE ${table} SET ${deadline.sql} = ${valueAt(deadline, "now() + interval '1 hour'", 'atLeast')} WHERE ${without};`,
    ],
  })
}

export async function lookAtOverdue({ database, columns }: OrdersTable): Promise<Finding | undefined> {
  if (!columns.deadline) return undefined
  const lateMs = await bounded(database, async () => {
    await database.query(SWEEP_SETTINGS)
    const now = await databaseNow(database)
    const values = [now, null, null, 1]
    const { rows } = await database.query<{ deadline: number }>(buildStatements(columns).unpaidDueBefore, values)
    return rows[0] && now - rows[0].deadline
  })
  return lateMs === 'unknown' ? cannotTell('store-overdue', 'the oldest overdue order') : overdueFinding(lateMs)
}
