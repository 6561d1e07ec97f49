import { Command } from 'commander'
import type { Brake } from '../brake/brake.ts'
import { type SweptOnce, sweepOnce } from '../daemon/sweep-once.ts'
import { withRedis } from '../daemon/with-redis.ts'
import { EventBus } from '../observe/events.ts'
import { describeSetAside, instantOf, isAnySetAside } from '../order/set-aside.ts'
import type { SetAside } from '../order/store.ts'
import { number } from '../runtime/human-numbers.ts'
import { type CommandContext, stopSignal } from './context.ts'
import { printsResult } from './result.ts'

const MOST_IDS_SHOWN = 20
const AGES = [
  { age: '1m', upToMs: 60_000 },
  { age: '1h', upToMs: 3_600_000 },
  { age: '1d', upToMs: 86_400_000 },
  { age: '7d', upToMs: 7 * 86_400_000 },
  { age: 'older', upToMs: Number.POSITIVE_INFINITY },
] as const

/** `order-expiry sweep`: one sweep over the order store. Exit code 0 if it finished and settled everything. */
export function sweepCommand(context: CommandContext): Command {
  const command = new Command('sweep')
    .description('settle every overdue order now, and add the missing checks of those due soon')
    .option('--backlog', 'settle instead the orders that were long overdue when order-expiry first saw the table')
    .option('--dry-run', 'print what would be done; change nothing')
  return printsResult(context, command, async ({ backlog = false, dryRun = false }: Options) => {
    const { clock, version } = context
    const config = context.readConfig()
    const events = new EventBus()
    const wouldCancel: WouldCancel = { ids: [], byAge: {} }
    events.on('would-cancel', ({ orderId, lateMs = 0 }) => {
      const { age } = AGES.find(({ upToMs }) => lateMs <= upToMs) as (typeof AGES)[number]
      wouldCancel.ids.push(orderId)
      wouldCancel.byAge[age] = (wouldCancel.byAge[age] ?? 0) + 1
    })
    const signal = stopSignal(context)
    const swept = await withRedis({ config, clock }, (redisAddress) =>
      sweepOnce({ config, version, redisAddress, dryRun, backlog, events, clock, signal }),
    )
    const result = reportOf(swept, dryRun || config.DRY_RUN ? wouldCancel : undefined)
    const lines = describe({ report: result, backlog, changesNothing: dryRun, now: clock.now() })
    return { result: jsonOf(result), lines, isSuccess: !result.error && !result.failed && !swept.brake.unknown }
  })
}

interface Options {
  backlog?: boolean
  dryRun?: boolean
}

type Report = ReturnType<typeof reportOf>

/** What a dry run would cancel, and how long it has been overdue. */
interface WouldCancel {
  ids: string[]
  byAge: { [Age in (typeof AGES)[number]['age']]?: number }
}

/** @param wouldCancel undefined: orders were cancelled */
function reportOf(swept: SweptOnce, wouldCancel: WouldCancel | undefined) {
  const { error, failed, outcomes, left, isWantedSoon, setAside, brake, ...counts } = swept
  return {
    setAside: setAside && isAnySetAside(setAside) ? setAside : undefined,
    ...counts,
    brake: brakeOf(brake),
    outcomes,
    left: left?.oldest && !wouldCancel ? left : undefined,
    wouldCancel: wouldCancel?.ids,
    byAge: wouldCancel?.byAge,
    failed: failed && { orderId: failed.orderId, code: failed.error.code, message: failed.error.message },
    error: error && { code: error.code, message: error.message },
  }
}

/** With times as everywhere in JSON: the store's can be finer than a millisecond. */
function jsonOf({ setAside, left, ...report }: Report) {
  const { backlog, unreadable } = setAside ?? {}
  const { oldest } = left ?? {}
  return {
    setAside: setAside && {
      backlog: { ...backlog, oldest: backlog?.oldest === undefined ? undefined : instantOf(backlog.oldest) },
      unreadable,
    },
    ...report,
    left: left && {
      ...left,
      oldest: oldest && { ...oldest, deadline: instantOf(oldest.deadline), lateMs: Math.round(oldest.lateMs) },
    },
  }
}

/** What of the brake keeps orders from being cancelled now, even if this was a dry run; undefined: nothing does. */
function brakeOf({ unknown, known }: Brake): { engaged: boolean | 'unknown'; reason: string | undefined } | undefined {
  if (unknown) return { engaged: 'unknown', reason: `${unknown.code}: ${unknown.message}` }
  return known?.engaged ? { engaged: true, reason: known.reason } : undefined
}

function describe(options: { report: Report; backlog: boolean; changesNothing: boolean; now: number }): string[] {
  const { report, backlog, changesNothing, now } = options
  const { setAside, overdue, outcomes, left, handedOver, wouldCancel, byAge = {}, failed, error, brake } = report
  const lines = setAside ? linesOfSetAside({ setAside, backlog, now }) : []
  const parts = Object.entries(outcomes).map(([outcome, count]) => `${outcome} ${number(count)}`)
  lines.push(
    `${backlog ? 'backlog' : 'overdue'}   ${number(overdue)}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`,
  )
  if (wouldCancel) {
    const more = wouldCancel.length - MOST_IDS_SHOWN
    const ids = wouldCancel.slice(0, MOST_IDS_SHOWN).join(' ') || 'none'
    lines.push(`          would be cancelled: ${ids}${more > 0 ? ` and ${number(more)} more` : ''}`)
    const ages = AGES.flatMap(({ age }) => (byAge[age] ? `${ageInWords(age)} ${number(byAge[age])}` : []))
    if (ages.length > 0) lines.push(`          overdue for: ${ages.join(', ')}`)
  }
  if (left?.oldest) {
    lines.push(`          left unpaid: ${number(left.orders)}, the oldest ${left.oldest.orderId}: ${left.oldest.why}`)
  }
  if (brake?.engaged === 'unknown') {
    lines.push(`          nothing is cancelled: it is not known whether the brake is engaged: ${brake.reason}`)
  } else if (brake) lines.push(`          nothing is cancelled: the brake is engaged (${brake.reason})`)
  if (backlog && left?.oldest?.why === 'brake') {
    lines.push('          Held by the brake: `order-expiry brake release --for 1h`, then run this again')
  }
  if (handedOver && !changesNothing)
    lines.push(`          undecided: ${number(handedOver)} have a check now, for the workers`)
  if (!backlog) lines.push(lineOfUpcoming(report, changesNothing))
  if (report.paidLate) {
    lines.push(`paid late ${number(report.paidLate)}, after their cancellation: order.paid_late tells of each`)
  }
  if (failed) {
    const { orderId, code, message } = failed
    lines.push(`${number(outcomes.failed ?? 0)} could not be settled, such as ${orderId}: ${code}: ${message}`)
  }
  if (error) lines.push(`The sweep did not finish: ${error.code}: ${error.message}`)
  return lines
}

function ageInWords(age: (typeof AGES)[number]['age']): string {
  return age === 'older' ? 'longer' : `up to ${age}`
}

function linesOfSetAside(options: { setAside: SetAside; backlog: boolean; now: number }): string[] {
  return describeSetAside(options).flatMap(({ why, what, remedy }) => {
    const isSettledNow = why === 'backlog' && options.backlog
    return [`set aside ${what}`, ...(isSettledNow ? [] : [`          ${remedy}`])]
  })
}

function lineOfUpcoming({ upcoming, added }: Report, changesNothing: boolean): string {
  const now = changesNothing || added === 0 ? '' : ', which they now have'
  return `upcoming  ${number(upcoming)}: ${number(added)} without a check${now}`
}
