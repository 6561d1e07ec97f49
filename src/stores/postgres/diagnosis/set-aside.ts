import { type Finding, finding, listed } from '../../../doctor/finding.ts'
import { FLOOR_MS } from '../../../order/deadline.ts'
import { MOST_COUNTED } from '../../../order/set-aside.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import type { OrdersTable } from '../columns.ts'
import { one } from '../database.ts'
import { valueAt } from '../instants.ts'
import { ANSWERS, readable } from '../rows.ts'
import { isBefore, isUnpaid, isUnreadable } from '../sql.ts'
import { buildStatements } from '../statements.ts'
import { bounded, cannotTell, countRows, GLANCE_MS } from './bounded-look.ts'

const MOST_ORDERS_COUNTED = 1_000
const YEAR = "interval '1 year'"

/** @param firstSeenMs when `migrate` first saw the table; undefined if it has not run */
type Options = OrdersTable & { backlogEndMs: number; firstSeenMs: number | undefined }

/** Orders that are never cancelled, or not for years, most likely because of how their times were written. */
export async function lookAtSetAside(options: Options): Promise<Finding[]> {
  return listed(await lookAtPassed(options), await lookAtFarDeadlines(options), await lookAtPayments(options))
}

async function lookAtPassed({ database, columns, backlogEndMs, firstSeenMs }: Options): Promise<Finding[]> {
  const { id, table, deadline } = columns
  if (!deadline) return []
  const { setAside } = buildStatements(columns, { backlogEndMs })
  const found = await bounded(database, async () => ANSWERS.setAside.parse(await one(database, setAside)), GLANCE_MS)
  if (found === 'unknown')
    return [cannotTell('store-unreadable', 'whether the deadlines of unpaid orders can be meant', GLANCE_MS)]
  const { backlog, unreadable } = found
  const show = `SELECT ${id}, ${deadline.sql} FROM ${table} o WHERE ${isUnpaid(columns)} AND ${isUnreadable(deadline)};`
  const { orders, examples } = unreadable
  const named = `${examples.join(', ')}${orders > examples.length ? ', …' : ''}`
  const cannotBeMeant = finding('warning', 'store-unreadable', {
    what: `${countUpTo(MOST_COUNTED - 1, orders, 'unpaid order')} with a deadline before 2001, which cannot be meant (${named})`,
    meaning: 'These are never cancelled.',
    fix: [
      ...(deadline.type === 'number'
        ? ['# if its numbers are in another unit, say so with ORDERS_DEADLINE_UNIT; otherwise']
        : []),
      '# correct these deadlines, and the program that writes them:',
      show,
    ],
  })
  const seen =
    firstSeenMs === undefined
      ? 'overdue for more than a day, which `order-expiry migrate` will take for backlog'
      : `overdue for more than a day when order-expiry first saw the table, at ${readable(Math.floor(firstSeenMs))}`
  const old = countUpTo(MOST_COUNTED - 1, backlog.orders, 'unpaid order')
  const wasOverdue = finding('info', 'store-backlog-orders', {
    what: `${old} ${seen}; the oldest was due ${readable(Math.floor(backlog.oldest ?? 0))}`,
    meaning: 'The sweep leaves these alone until somebody says that they are to be cancelled.',
    fix: ['# look at them first; without --dry-run they are cancelled:', 'order-expiry sweep --backlog --dry-run'],
  })
  return listed(unreadable.orders > 0 ? cannotBeMeant : undefined, backlog.orders > 0 ? wasOverdue : undefined)
}

async function lookAtFarDeadlines({ database, columns }: OrdersTable): Promise<Finding | undefined> {
  const { id, table, deadline } = columns
  if (!deadline) return undefined
  const never = deadline.type === 'number' ? '' : ` AND o.${deadline.sql} < 'infinity'`
  const isFar = `${isUnpaid(columns)} AND o.${deadline.sql} > ${valueAt(deadline, `(now() + ${YEAR})`, 'atMost')}${never}`
  const orders = await countRows(database, `${table} o WHERE ${isFar}`, MOST_ORDERS_COUNTED, GLANCE_MS)
  if (orders === 'unknown' || orders === 0) return undefined
  return finding('warning', 'store-deadlines', {
    what: `${countUpTo(MOST_ORDERS_COUNTED, orders, 'unpaid order')} with a deadline more than a year ahead`,
    meaning: 'Most likely milliseconds were taken for seconds. Read like this, they are not cancelled for years.',
    fix: [
      ...(deadline.type === 'number' && deadline.unitMs > 1
        ? ['# if its numbers are milliseconds:', 'ORDERS_DEADLINE_UNIT=ms']
        : []),
      '# otherwise correct their deadlines:',
      `SELECT ${id}, ${deadline.sql} FROM ${table} o WHERE ${isFar};`,
    ],
  })
}

/** A time of payment that cannot be meant still means that the order is paid, and no program may have meant that. */
async function lookAtPayments({ database, columns }: OrdersTable): Promise<Finding | undefined> {
  const { id, table, paidAt } = columns
  if (!paidAt) return undefined
  const isEarly = paidAt.type === 'date' ? `o.${paidAt.sql} < '2001-09-09'` : isBefore(paidAt, `${FLOOR_MS}`)
  const wherever = [isUnpaid({ ...columns, paidAt: undefined }), isEarly].filter(Boolean).join(' AND ')
  const orders = await countRows(database, `${table} o WHERE ${wherever}`, MOST_ORDERS_COUNTED, GLANCE_MS)
  if (orders === 'unknown' || orders === 0) return undefined
  return finding('warning', 'store-paid-at', {
    what: `${countUpTo(MOST_ORDERS_COUNTED, orders, 'order')} otherwise unpaid, with a time of payment before 2001`,
    meaning: 'They count as paid and are never cancelled. The brake takes no such time for a payment.',
    fix: [
      '# if they are not paid, let your program write NULL; decide for each of these:',
      `SELECT ${id}, ${paidAt.sql} FROM ${table} o WHERE ${wherever};`,
    ],
  })
}
