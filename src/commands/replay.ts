import { Command, InvalidArgumentError } from 'commander'
import { queueOf } from '../config.ts'
import { withRedis } from '../daemon/with-redis.ts'
import { ERROR_CODES, type ErrorCode, OrderExpiryError } from '../errors.ts'
import { parseOrderId } from '../order/order-id.ts'
import { type Replay, replay } from '../queue/replay/replay.ts'
import type { Selection } from '../queue/replay/selection.ts'
import { number } from '../runtime/human-numbers.ts'
import { nearest } from '../settings/unknown-names.ts'
import { type CommandContext, stopSignal } from './context.ts'
import { createReplayReport } from './replay-report.ts'

interface ReplayOptions {
  code?: ErrorCode[]
  all?: true
  dryRun?: true
  json?: true
}

const PROGRESS_MS = 1_000

/** `order-expiry replay`: exit code 1 if an order given has no failed check or Redis failed half-way. */
export function replayCommand(context: CommandContext): Command {
  return new Command('replay')
    .description('retry given-up checks now')
    .argument('[id...]', 'the order ids')
    .option('--code <codes>', 'those given up with these errors, such as STORE_REJECTED,UNEXPECTED', parseCodes)
    .option('--all', 'all but those with bad data, which can only fail again')
    .option('--dry-run', 'only print which checks, and how many per error')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nGive order ids, --code or --all. May be stopped at any time, and run again.')
    .action(async (orderIds: string[], options: ReplayOptions, command: Command) => {
      const selection = selectionOf(orderIds, options)
      if (!selection) return command.error('error: expected order ids, --code or --all')
      const { dryRun = false, json = false } = options
      const config = context.readConfig()
      const report = createReplayReport({ print: context.print, dryRun, json })
      const result = await withRedis({ config, clock: context.clock }, (redis) =>
        replay({
          redis,
          queue: queueOf(config),
          selection,
          dryRun,
          onFound: report.found,
          onProgress: reportProgress(context, dryRun),
          signal: stopSignal(context),
        }),
      )
      report.end(result)
      const isMissing = result.orders?.some((order) => order.result === 'missing')
      if (isMissing && !result.stopped) context.exitWith(1)
      if (result.error) throw halfWay(result, result.error)
    })
}

function selectionOf(orderIds: readonly string[], options: ReplayOptions): Selection | undefined {
  const given: Selection[] = []
  if (orderIds.length > 0) given.push({ orderIds: orderIds.map((orderId) => parseOrderId(orderId, 'ID')) })
  if (options.code) given.push({ codes: options.code })
  if (options.all) given.push('all')
  return given.length === 1 ? given[0] : undefined
}

function parseCodes(text: string, before: readonly ErrorCode[] = []): ErrorCode[] {
  return [...before, ...text.split(',').map((part) => parseCode(part.trim()))]
}

function parseCode(text: string): ErrorCode {
  const code = ERROR_CODES.find((known) => known === text)
  if (code) return code
  const wanted = text.toUpperCase()
  const alike = wanted.length > 2 ? ERROR_CODES.filter((known) => known.includes(wanted)) : []
  const near = nearest(wanted, ERROR_CODES)
  const meant = near ? [near] : alike
  const advice = meant.length > 0 ? `did you mean ${meant.join(' or ')}?` : `expected some of ${ERROR_CODES.join(', ')}`
  throw new InvalidArgumentError(`${JSON.stringify(text)} is not one of our errors; ${advice}`)
}

/** A line each second on standard error, for people: standard output holds the result alone. */
function reportProgress({ clock, progress }: CommandContext, dryRun: boolean): (soFar: Readonly<Replay>) => void {
  let shownAt = clock.now()
  return ({ replayed, found, failed, lookedAt }) => {
    if (clock.now() - shownAt < PROGRESS_MS) return
    shownAt = clock.now()
    const done = dryRun ? found : replayed
    const looked = lookedAt > done ? ` (${number(lookedAt)} looked at)` : ''
    progress(`${dryRun ? 'found' : 'replayed'} ${number(done)} of ${number(failed)}${looked}`)
  }
}

function halfWay({ replayed, lookedAt, failed }: Replay, cause: OrderExpiryError): OrderExpiryError {
  const done = `${number(replayed)} replayed, ${number(lookedAt)} of ${number(failed)} looked at`
  const message = `ended half-way (${done}; run it again to continue): ${cause.message}`
  return new OrderExpiryError(cause.code, message, { cause })
}
