import { Command } from 'commander'
import { sweepOnce } from '../daemon/sweep-once.ts'
import { withRedis } from '../daemon/with-redis.ts'
import type { OrderExpiryError } from '../errors.ts'
import { EventBus, type LeftOverdue } from '../observe/events.ts'
import type { CommandContext } from './context.ts'
import { stopSignal } from './stop-signal.ts'

const SHOWN = 20

/** `order-expiry sweep`: one sweep over the order store. Exit code 0 if it came to its end and settled all. */
export function sweepCommand(context: CommandContext): Command {
  return new Command('sweep')
    .description('settle every overdue order now, and give those due soon the check they lack')
    .option('--dry-run', 'print what would be done; change nothing')
    .option('--json', 'print JSON')
    .action(async (options: { dryRun?: true; json?: true }) => {
      const config = context.readConfig()
      const events = new EventBus()
      const wouldCancel: string[] = []
      events.on('would-cancel', ({ orderId }) => wouldCancel.push(orderId))
      const signal = stopSignal(context)
      const isDry = options.dryRun ?? config.DRY_RUN
      const result = await withRedis({ config, clock: context.clock }, (redisUrl) =>
        sweepOnce({
          config,
          redisUrl,
          dryRun: options.dryRun ?? false,
          events,
          clock: context.clock,
          signal,
        }),
      )
      const { error, failed, outcomes, left, isWantedSoon, ...counts } = result
      const summary = {
        ...counts,
        outcomes,
        ...(left?.oldest && !isDry && { left }),
        ...(isDry && { wouldCancel }),
        ...(failed && { failed: { orderId: failed.orderId, ...describeError(failed.error) } }),
        ...(error && { error: describeError(error) }),
      }
      if (options.json) context.print(JSON.stringify(summary, null, 2))
      else for (const line of describe(summary, options.dryRun ?? false)) context.print(line)
      if (error || failed) context.exitWith(1)
    })
}

function describeError({ code, message }: OrderExpiryError): { code: string; message: string } {
  return { code, message }
}

function describe(
  summary: {
    overdue: number
    outcomes: Readonly<Record<string, number>>
    left?: LeftOverdue
    handedOver?: number
    upcoming: number
    added: number
    wouldCancel?: string[]
    failed?: { orderId: string; code: string; message: string }
    error?: { code: string; message: string }
  },
  changesNothing: boolean,
): string[] {
  const { overdue, outcomes, left, handedOver, upcoming, added, wouldCancel, failed, error } = summary
  const parts = Object.entries(outcomes).map(([outcome, count]) => `${outcome} ${count}`)
  const names = wouldCancel?.slice(0, SHOWN) ?? []
  const more = (wouldCancel?.length ?? 0) - names.length
  return [
    `overdue   ${overdue}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`,
    ...(wouldCancel
      ? [`          would be cancelled: ${names.join(' ') || 'none'}${more > 0 ? ` and ${more} more` : ''}`]
      : []),
    ...(left?.oldest
      ? [`          left unpaid: ${left.orders}, the oldest ${left.oldest.orderId}: ${left.oldest.why}`]
      : []),
    ...(handedOver && !changesNothing ? [`          undecided: ${handedOver} have a check now, for the workers`] : []),
    `upcoming  ${upcoming}: ${added} without a check${changesNothing || added === 0 ? '' : ', which they now have'}`,
    ...(failed
      ? [`${outcomes.failed} could not be settled, such as ${failed.orderId}: ${failed.code}: ${failed.message}`]
      : []),
    ...(error ? [`The sweep has left something undone: ${error.code}: ${error.message}`] : []),
  ]
}
