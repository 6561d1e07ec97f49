import { Command, InvalidArgumentError, Option } from 'commander'
import { withOutbox } from '../daemon/with-redis.ts'
import { OrderExpiryError } from '../errors.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { ListedEvent, Listing, SinkDelivery } from '../order/outbox.ts'
import { instantOf } from '../order/set-aside.ts'
import { type Replayed, replayEvents } from '../outbox/replay.ts'
import { SINK_NAMES, type SinkName } from '../outbox/sinks.ts'
import { count, relativeTime } from '../runtime/human-numbers.ts'
import type { CommandContext } from './context.ts'
import { printsResult } from './result.ts'

const MOST_LISTED = 10_000

/** `order-expiry events`: what is in the outbox, and sending it again. */
export function eventsCommand(context: CommandContext): Command {
  const command = new Command('events').description('the events that are still to be delivered, or were given up')
  addList(context, command)
  addReplay(context, command)
  return command
}

interface ListOptions {
  givenUp?: true
  order?: string
  limit: number
}

/** `order-expiry events list`: changes nothing. */
function addList(context: CommandContext, parent: Command): void {
  const command = parent
    .command('list')
    .description('print the events that were not delivered, the oldest first, and what is known of their delivery')
    .addOption(new Option('--given-up', 'only those that are sent no more').conflicts('order'))
    .option('--order <id>', 'those of one order, also delivered ones that are kept')
    .addOption(new Option('--limit <n>', 'at most so many').default(100).argParser(parseLimit))
  printsResult(context, command, async ({ givenUp, order, limit }: ListOptions) => {
    const { clock } = context
    const settings = { config: context.readConfig(), clock }
    const only = order === undefined ? givenUp && 'given-up' : { orderId: parseOrderId(order, '--order') }
    const events = await withOutbox(settings, { access: 'read' }, ({ outbox, sinks }) =>
      outbox.list({ sinks, only, limit: limit + 1 }),
    )
    const listed = events.slice(0, limit)
    const lines = listed.flatMap((event) => linesOf(event, event.deliveries, clock.now()))
    if (listed.length === 0) lines.push('no such event')
    const isMore = events.length > limit
    if (isMore) lines.push(`and more: --limit ${Math.min(2 * limit, MOST_LISTED)}`)
    return { result: { events: listed.map((event) => jsonOf(event, event.deliveries)), isMore }, lines }
  })
}

interface ReplayOptions {
  order?: string
  event?: string
  givenUp?: true
  sink?: SinkName
  dryRun?: true
}

/** `order-expiry events replay`: exit code 1 if the order or the event given has nothing to send again. */
function addReplay(context: CommandContext, parent: Command): void {
  const command = parent
    .command('replay')
    .description('have events sent again now, under the same ids')
    .option('--order <id>', 'those of one order')
    .option('--event <id>', 'the one with this id')
    .option('--given-up', 'all that were given up, each to those for whom it was')
    .addOption(new Option('--sink <name>', 'only to this one; default: all that the settings name').choices(SINK_NAMES))
    .option('--dry-run', 'only print which')
    .addHelpText('after', '\nGive one of --order, --event and --given-up. May be run again.')
  printsResult(context, command, async (options: ReplayOptions) => {
    const only = selectionOf(options)
    if (!only) return command.error('error: expected one of --order, --event and --given-up')
    const { sink, dryRun = false } = options
    const { clock } = context
    const found: Replayed[] = []
    const settings = { config: context.readConfig(), clock }
    await withOutbox(settings, { access: dryRun ? 'read' : 'write' }, async ({ outbox, sinks, readAgain }) => {
      const to = sink ? sinks.filter((name) => name === sink) : sinks
      if (sink && to.length === 0) throw notChosen(sink, sinks)
      await replayEvents({ outbox, sinks: to, only, dryRun, onFound: (each) => found.push(each) })
      if (!dryRun && found.length > 0) await readAgain()
    })
    const now = clock.now()
    const events = found.map(({ event, deliveries }) => jsonOf(event, deliveries))
    const told = `${dryRun ? 'would send' : 'sends'} ${count(found.length, 'event')} again`
    const lines = [...found.flatMap(({ event, deliveries }) => linesOf(event, deliveries, now)), told]
    return { result: { dryRun, events }, lines, isSuccess: found.length > 0 || only === 'given-up' }
  })
}

function selectionOf({ order, event, givenUp }: ReplayOptions): NonNullable<Listing['only']> | undefined {
  const given: NonNullable<Listing['only']>[] = []
  if (order !== undefined) given.push({ orderId: parseOrderId(order, '--order') })
  if (event !== undefined) given.push({ id: event })
  if (givenUp) given.push('given-up')
  return given.length === 1 ? given[0] : undefined
}

function notChosen(sink: SinkName, sinks: readonly SinkName[]): OrderExpiryError {
  return new OrderExpiryError(
    'INVALID_SETTINGS',
    `--sink: expected one that is set (${sinks.join(', ')}), given ${sink}`,
  )
}

function parseLimit(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= MOST_LISTED) return limit
  throw new InvalidArgumentError(`Expected a whole number from 1 to ${MOST_LISTED}.`)
}

function linesOf({ id, type, orderId, at }: ListedEvent, deliveries: readonly SinkDelivery[], now: number): string[] {
  const states = deliveries.map((delivery) => `  ${delivery.sink.padEnd(8)}  ${describe(delivery, now)}`)
  return [`${id}  ${type}  ${orderId || '-'}  ${relativeTime(at - now)}`, ...states]
}

function describe({ state, at, failures, why }: SinkDelivery, now: number): string {
  const when = at === undefined ? '' : ` ${relativeTime(at - now)}`
  const failed = failures > 0 ? `; ${count(failures, 'attempt')} failed${why ? `, the last: ${why}` : ''}` : ''
  if (state === 'delivered') return `delivered${when}`
  return state === 'given-up' ? `given up${when}${failed}` : `next attempt ${when.trim() || 'now'}${failed}`
}

function jsonOf({ id, type, orderId, at }: ListedEvent, deliveries: readonly SinkDelivery[]) {
  const told = deliveries.map((delivery) => ({
    ...delivery,
    at: delivery.at === undefined ? undefined : instantOf(delivery.at),
  }))
  return { id, type, orderId, at: instantOf(at), deliveries: told }
}
