import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import { overdueFinding } from '../../../doctor/overdue-finding.ts'
import { FLOOR_MS, LAST_MS } from '../../../order/deadline.ts'
import { formatDuration } from '../../../runtime/duration.ts'
import { countUpTo, howLong } from '../../../runtime/human-numbers.ts'
import type { OrdersTable } from '../columns.ts'
import { databaseNow } from '../database.ts'
import { instantOf, isMonotonic, ms, type TimeColumn, valueAt } from '../instants.ts'
import { readable } from '../rows.ts'
import type { PostgresSettings } from '../settings.ts'
import { isFrom, isUnpaid } from '../sql.ts'
import { buildStatements, SWEEP_SETTINGS } from '../statements.ts'
import { bounded, cannotTell, countRows, GLANCE_MS } from './bounded-look.ts'
import { findCreation } from './creation.ts'

const MOST_ORDERS_COUNTED = 1_000
/** An order without a deadline is given one only if it is younger than this. */
const RECENT = "interval '1 hour'"

type Options = OrdersTable & { settings: PostgresSettings }

/** Whether the unpaid orders have deadlines, and how the next one is read. */
export async function lookAtDeadlines(options: Options): Promise<Finding[]> {
  const { deadline } = options.columns
  if (deadline) return listed(await lookAtMissing(options, deadline), await lookAtReading(options, deadline))
  const created = await findCreation(options)
  const none = finding('warning', 'store-deadlines', {
    what: 'ORDERS_DEADLINE_COLUMN is empty: only the jobs know the deadlines',
    meaning: 'The sweeper cannot see what is overdue: an order whose job Redis loses is never cancelled.',
    fix: created
      ? [
          '# if orders are to be paid within a fixed time:',
          `ORDERS_DEADLINE_COLUMN=${created.name}`,
          'ORDERS_DEADLINE_AFTER=30m',
        ]
      : '# add a timestamptz column, write it when an order is placed, and name it in ORDERS_DEADLINE_COLUMN',
  })
  return [none]
}

async function lookAtMissing(options: Options, deadline: TimeColumn): Promise<Finding> {
  const { database, columns } = options
  const { table } = columns
  const without = `${isUnpaid(columns)} AND ${deadline.sql} IS NULL`
  const orders = await countRows(database, `${table} WHERE ${without}`, MOST_ORDERS_COUNTED)
  if (orders === 'unknown') return cannotTell('store-deadlines', 'whether unpaid orders without a deadline exist')
  if (orders === 0) return ok('store-deadlines', 'every unpaid order has one')
  const decide = [
    '# decide first what becomes of those that are there: given a deadline that has passed, they are cancelled in the next sweep;',
    '# and let your program write one when an order is placed',
  ]
  const created = await findCreation(options)
  if (!created) return missingFinding(orders, decide)
  const { column } = created
  const isRecent = `${column.sql} > ${valueAt(column, `(now() - ${RECENT})`, 'atMost')} AND ${column.sql} <= ${valueAt(column, 'now()', 'atMost')}`
  const others = `${table} WHERE ${without} AND (${isRecent}) IS NOT TRUE`
  const older = await countRows(database, others, MOST_ORDERS_COUNTED, GLANCE_MS)
  const known = older === 'unknown' ? 'the older ones' : countUpTo(MOST_ORDERS_COUNTED, older, 'older order')
  const value = valueAt(deadline, `(${instantOf(column, 'o')} + ${RECENT})`, 'atLeast')
  const hour = isMonotonic(column) ? '' : ` AND ${instantOf(column, 'o')} BETWEEN now() - ${RECENT} AND now()`
  return missingFinding(orders, [
    ...decide,
    `# for those created within the last hour, an hour from then; it leaves ${known} as they are:`,
    `UPDATE ${table} o SET ${deadline.sql} = ${value} WHERE ${without} AND ${isRecent}${hour};`,
  ])
}

function missingFinding(orders: number, fix: string[]): Finding {
  return finding('warning', 'store-deadlines', {
    what: `${countUpTo(MOST_ORDERS_COUNTED, orders, 'unpaid order')} without a deadline`,
    meaning: 'The sweeper never cancels these; only a job that brings a deadline of its own does.',
    fix,
  })
}

interface Reading {
  written: string
  ms: number
}

/** What the next deadline says, and how it is read; if none is to come, the latest. */
async function lookAtReading({ database, columns }: Options, deadline: TimeColumn): Promise<Finding | undefined> {
  const read = (range: string, order: string) => `
SELECT o.${deadline.sql}::text AS written, ${ms(instantOf(deadline, 'o'))} AS ms FROM ${columns.table} o
WHERE ${isUnpaid(columns)} AND ${range} ORDER BY o.${deadline.sql} ${order} LIMIT 1`
  const now = valueAt(deadline, 'now()', 'atMost')
  const found = await bounded(
    database,
    async () => {
      const { rows: next } = await database.query<Reading>(read(`o.${deadline.sql} > ${now}`, 'ASC'))
      if (next[0] && next[0].ms < LAST_MS) return { ...next[0], now: await databaseNow(database) }
      const passed = `${isFrom(deadline, `${FLOOR_MS}`)} AND o.${deadline.sql} <= ${now}`
      const { rows } = await database.query<Reading>(read(passed, 'DESC'))
      return rows[0] && { ...rows[0], now: await databaseNow(database) }
    },
    GLANCE_MS,
  )
  if (found === 'unknown') return cannotTell('store-deadlines', 'which deadline comes next', GLANCE_MS)
  if (!found) return undefined
  const awayMs = found.ms - found.now
  const when = awayMs >= 0 ? `due in ${howLong(awayMs)}` : `due ${howLong(-awayMs)} ago`
  const meant = readable(Math.floor(found.ms))
  return ok('store-deadlines', `${found.written}${how(deadline)} is read as ${meant}, ${when}`)
}

/** How the column is read, as far as that is not plain. */
function how({ type, zone, unitMs, afterMs }: TimeColumn): string {
  const parts = [
    type === 'timestamp' && `written in ${zone}`,
    type === 'number' && `in ${unitMs === 1 ? 'milliseconds' : 'seconds'}`,
    afterMs > 0 && `plus ${formatDuration(afterMs)}`,
  ].filter(Boolean)
  return parts.length > 0 ? ` (${parts.join(', ')})` : ''
}

/** Only the daemon knows what the statement answers. */
const KEPT_BY_SHOP =
  'Your own statement (CANCEL_SQL_FILE) may keep it: then say in ORDERS_CONDITION, too, which orders are unpaid. Otherwise: '

/** @param options.backlogEndMs what was due before that is no longer late, but backlog */
export async function lookAtOverdue(
  options: OrdersTable & { backlogEndMs: number; cancelSql: string | undefined },
): Promise<Finding | undefined> {
  const { database, columns, backlogEndMs, cancelSql } = options
  if (!columns.deadline) return undefined
  const lateMs = await bounded(database, async () => {
    await database.query(SWEEP_SETTINGS)
    const now = await databaseNow(database)
    const values = [now, null, null, 1]
    const { unpaidDueBefore } = buildStatements(columns, { backlogEndMs })
    const { rows } = await database.query<{ deadline: number }>(unpaidDueBefore, values)
    return rows[0] && now - rows[0].deadline
  })
  if (lateMs === 'unknown') return cannotTell('store-overdue', 'the oldest overdue order')
  return overdueFinding(lateMs, cancelSql && KEPT_BY_SHOP)
}
