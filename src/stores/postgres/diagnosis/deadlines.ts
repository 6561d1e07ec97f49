import { type Finding, finding } from '../../../doctor/finding.ts'
import { overdueFinding } from '../../../doctor/overdue-finding.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import { isUnpaidSql } from '../indexes.ts'
import { buildStatements, SWEEP_SETTINGS } from '../statements.ts'
import { bounded, cannotTell } from './bounded-look.ts'
import { databaseNow, one } from './database.ts'
import type { OrdersTable } from './table.ts'

const MANY_NULLS = 1_000

export async function lookAtDeadlines({ database, columns, mapping }: OrdersTable): Promise<Finding[]> {
  const { table, status, statusType, deadline, paidAt } = columns
  if (!deadline) {
    return [
      finding('warning', 'store-deadlines', {
        what: 'ORDERS_DEADLINE_COLUMN is empty: only the jobs know the deadlines',
        meaning: 'The sweeper cannot see what is overdue: an order whose job Redis loses is never cancelled.',
        fix: '# add a timestamptz column, write it when an order is placed, and name it in ORDERS_DEADLINE_COLUMN',
      }),
    ]
  }
  const nulls = await bounded<number>(database, async () => {
    const found = await one<{ nulls: number }>(
      database,
      `SELECT count(*)::int AS nulls FROM (SELECT FROM ${table} o WHERE o.${status} = ANY ($1::${statusType}[])
       ${paidAt ? `AND o.${paidAt.sql} IS NULL` : ''} AND o.${deadline.sql} IS NULL LIMIT ${MANY_NULLS + 1}) o`,
      [mapping.unpaidStatuses],
    )
    return found.nulls
  })
  if (nulls === 'unknown') return [cannotTell('store-deadlines', 'whether unpaid orders without a deadline exist')]
  if (nulls === 0) return [finding('ok', 'store-deadlines', { what: 'every unpaid order has one' })]
  return [
    finding('warning', 'store-deadlines', {
      what: `${countUpTo(MANY_NULLS, nulls, 'unpaid order')} without a deadline`,
      meaning: 'The sweeper never cancels these; only a job that brings a deadline of its own does.',
      fix: [
        '# give them one, and write it when an order is placed:',
        `UPDATE ${table} SET ${deadline.sql} = now()${deadline.type === 'timestamp' ? " AT TIME ZONE 'UTC'" : ''} + interval '1 hour' WHERE ${isUnpaidSql(columns, mapping)} AND ${deadline.sql} IS NULL;`,
      ],
    }),
  ]
}

export async function lookAtOverdue({ database, columns, mapping }: OrdersTable): Promise<Finding[]> {
  if (!columns.deadline) return []
  const oldest = await bounded<number | undefined>(database, async () => {
    await database.query(SWEEP_SETTINGS)
    const now = await databaseNow(database)
    const values = [mapping.unpaidStatuses, now, null, null, 1]
    const { rows } = await database.query<{ deadline: number }>(buildStatements(columns).unpaidDueBefore, values)
    return rows[0] && now - rows[0].deadline
  })
  return [oldest === 'unknown' ? cannotTell('store-overdue', 'the oldest overdue order') : overdueFinding(oldest)]
}
