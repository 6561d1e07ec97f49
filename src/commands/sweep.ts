import { Command } from 'commander'
import type { Brake } from '../brake/brake.ts'
import { sweepOnce } from '../daemon/sweep-once.ts'
import { withRedis } from '../daemon/with-redis.ts'
import { EventBus } from '../observe/events.ts'
import { number } from '../runtime/human-numbers.ts'
import { type CommandContext, stopSignal } from './context.ts'
import { printsResult } from './result.ts'

const MOST_IDS_SHOWN = 20

/** `order-expiry sweep`: one sweep over the order store. Exit code 0 if it finished and settled everything. */
export function sweepCommand(context: CommandContext): Command {
  const command = new Command('sweep')
    .description('settle every overdue order now, and add the missing checks of those due soon')
    .option('--dry-run', 'print what would be done; change nothing')
  return printsResult(context, command, async ({ dryRun = false }: { dryRun?: boolean }) => {
    const { clock } = context
    const config = context.readConfig()
    const events = new EventBus()
    const wouldCancel: string[] = []
    events.on('would-cancel', ({ orderId }) => wouldCancel.push(orderId))
    const signal = stopSignal(context)
    const swept = await withRedis({ config, clock }, (redisUrl) =>
      sweepOnce({ config, redisUrl, dryRun, events, clock, signal }),
    )
    const result = reportOf(swept, dryRun || config.DRY_RUN ? wouldCancel : undefined)
    const isSuccess = !result.error && !result.failed && !swept.brake.unknown
    return { result, lines: describe(result, dryRun), isSuccess }
  })
}

/** @param wouldCancel undefined: orders were cancelled */
function reportOf(swept: Awaited<ReturnType<typeof sweepOnce>>, wouldCancel: readonly string[] | undefined) {
  const { error, failed, outcomes, left, isWantedSoon, brake, ...counts } = swept
  return {
    ...counts,
    brake: brakeOf(brake),
    outcomes,
    left: left?.oldest && !wouldCancel ? left : undefined,
    wouldCancel,
    failed: failed && { orderId: failed.orderId, code: failed.error.code, message: failed.error.message },
    error: error && { code: error.code, message: error.message },
  }
}

/** What of the brake keeps orders from being cancelled now, even if this was a dry run; undefined: nothing does. */
function brakeOf({ unknown, known }: Brake): { engaged: boolean | 'unknown'; reason: string | undefined } | undefined {
  if (unknown) return { engaged: 'unknown', reason: `${unknown.code}: ${unknown.message}` }
  return known?.engaged ? { engaged: true, reason: known.reason } : undefined
}

function describe(report: ReturnType<typeof reportOf>, changesNothing: boolean): string[] {
  const { overdue, outcomes, left, handedOver, upcoming, added, wouldCancel, failed, error, brake } = report
  const parts = Object.entries(outcomes).map(([outcome, count]) => `${outcome} ${number(count)}`)
  const lines = [`overdue   ${number(overdue)}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`]
  if (wouldCancel) {
    const more = wouldCancel.length - MOST_IDS_SHOWN
    const ids = wouldCancel.slice(0, MOST_IDS_SHOWN).join(' ') || 'none'
    lines.push(`          would be cancelled: ${ids}${more > 0 ? ` and ${number(more)} more` : ''}`)
  }
  if (left?.oldest) {
    lines.push(`          left unpaid: ${number(left.orders)}, the oldest ${left.oldest.orderId}: ${left.oldest.why}`)
  }
  if (brake?.engaged === 'unknown') {
    lines.push(`          nothing is cancelled: it is not known whether the brake is engaged: ${brake.reason}`)
  } else if (brake) lines.push(`          nothing is cancelled: the brake is engaged (${brake.reason})`)
  if (handedOver && !changesNothing)
    lines.push(`          undecided: ${number(handedOver)} have a check now, for the workers`)
  const now = changesNothing || added === 0 ? '' : ', which they now have'
  lines.push(`upcoming  ${number(upcoming)}: ${number(added)} without a check${now}`)
  if (failed) {
    const { orderId, code, message } = failed
    lines.push(`${number(outcomes.failed ?? 0)} could not be settled, such as ${orderId}: ${code}: ${message}`)
  }
  if (error) lines.push(`The sweep did not finish: ${error.code}: ${error.message}`)
  return lines
}
