import { asOrderExpiryError } from '../errors.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { OrderStore } from '../order/store.ts'
import type { CheckFacts } from '../queue/view/check-facts.ts'
import type { CheckNote } from '../queue/view/check-notes.ts'
import type { QueueView } from '../queue/view/queue-view.ts'
import type { Clock } from '../runtime/clock.ts'
import { type OrderFacts, verdictOf } from './verdict.ts'

/** What happened to an order, or will. */
export interface Story {
  orderId: string
  /** The answer in one sentence. */
  verdict: string
  /** In order of time. */
  lines: CheckNote[]
  /** Whether the queue or the store has it. */
  isKnown: boolean
}

/** The queue, the order store and what else decides on a story. */
export interface ExplainSources {
  readonly view: Pick<QueueView, 'checkOf' | 'holds'>
  readonly store: Pick<OrderStore, 'find' | 'eventsOf'>
  readonly dryRun: boolean
  readonly clock: Clock
}

/**
 * One order's story, from the queue and the order store.
 *
 * @throws {OrderExpiryError} INVALID_ORDER_ID, REDIS_*, STORE_*: half a story could be a wrong one
 */
export async function explainOrder(options: {
  orderId: string
  /** Of its check; default our own id. */
  jobId?: string | undefined
  sources: ExplainSources
}): Promise<Story> {
  const { view, store, dryRun, clock } = options.sources
  const orderId = parseOrderId(options.orderId)
  const [check, holds, [order], events] = await Promise.all([
    view.checkOf(orderId, options.jobId),
    view.holds(),
    store.find([orderId]),
    store.eventsOf?.(orderId).catch((error) => {
      if (asOrderExpiryError(error).code === 'STORE_REFUSED') return undefined // the role may write events, not read them
      throw error
    }),
  ])
  return tellStory({ orderId, now: clock.now(), check, order, events, holds: { ...holds, dryRun } })
}

/** A story as it is printed and answered; times are ISO 8601. */
export function storyJsonOf({ orderId, verdict, lines }: Story) {
  const story = lines.map(({ at, what }) => ({ ...(at !== undefined && { at: new Date(at).toISOString() }), what }))
  return { orderId, verdict, story }
}

/** One order's story, from what its check and its store say. Either may be gone, or never have been. */
export function tellStory(facts: OrderFacts): Story {
  const { orderId, check, order, events } = facts
  const lines = [...linesOfCheck(check), ...linesOfOrder(facts), ...linesOfEvents(facts)]
  // Stable: what has the same time stays in the order in which it happens.
  lines.sort((a, b) => (a.at ?? Number.NEGATIVE_INFINITY) - (b.at ?? Number.NEGATIVE_INFINITY))
  return { orderId, verdict: verdictOf(facts), lines, isKnown: Boolean(check ?? order ?? events?.[0]) }
}

function linesOfCheck(check: CheckFacts | undefined): CheckNote[] {
  if (!check) {
    const what =
      'the queue has no check under our id for it: it was never scheduled, has another id, was withdrawn, or has been deleted'
    return [{ at: undefined, what }]
  }
  const { scheduledAt, scheduledBy, notes, starts, startedAt, finishedAt, finished, failedReason, dueAt, state } = check
  const lines = [{ at: scheduledAt, what: `check scheduled${scheduledBy ? ` by ${scheduledBy}` : ''}` }, ...notes]
  if (startedAt !== undefined) {
    lines.push({ at: startedAt, what: starts > 1 ? `check begun, for the ${ordinal(starts)} time` : 'check begun' })
  }
  if (finished) {
    const { outcome, status, paid, decidedAt, decidedBy } = finished
    const seen = status === undefined ? 'no such order' : `status ${status}${paid ? ', paid' : ''}`
    lines.push({ at: Date.parse(decidedAt), what: `decided by ${decidedBy}: ${outcome}, the store said: ${seen}` })
  }
  if (state === 'failed') {
    lines.push({ at: finishedAt, what: `check given up: ${failedReason ?? 'no reason was recorded'}` })
  }
  if (state === 'waiting' && dueAt !== undefined) lines.push({ at: dueAt, what: 'check to come' })
  if (state === 'due') lines.push({ at: dueAt ?? check.deadline, what: 'check due, about to begin' })
  return lines
}

function linesOfOrder({ order, check, now }: OrderFacts): CheckNote[] {
  const deadline = order?.deadline ?? check?.deadline
  const lines: CheckNote[] = []
  if (deadline !== undefined) {
    const what = deadline > now ? 'payment deadline, to come' : 'payment deadline'
    lines.push({ at: deadline, what: order?.setAside === 'unreadable' ? `${what}, which cannot be meant` : what })
  }
  if (order?.paidAt !== undefined) lines.push({ at: order.paidAt, what: 'paid, according to the order store' })
  if (order?.cancelledAt !== undefined)
    lines.push({ at: order.cancelledAt, what: 'cancelled, according to the order store' })
  const state = order ? `status ${order.status}, according to the order store` : 'the order store has no such order'
  return [...lines, { at: now, what: `now: ${state}` }]
}

/** What became of the events that announce the cancellation. */
function linesOfEvents({ events, check, now }: OrderFacts): CheckNote[] {
  if (events?.length === 0 && check?.finished?.outcome === 'cancelled') {
    return [{ at: now, what: 'now: its event is no longer in the outbox, so it has been taken' }]
  }
  return (events ?? []).flatMap(({ id, type, at, readers }) => [
    { at, what: `event ${type} written, ${id}` },
    ...(readers
      ? readers.map(({ name, state }) => ({ at: now, what: `now: ${name} ${WHERE_READERS_ARE[state]} event ${id}` }))
      : [{ at: now, what: `now: event ${id} is still in the outbox` }]),
  ])
}

const WHERE_READERS_ARE = {
  past: 'is done with',
  given: 'has received but not acknowledged',
  waiting: 'has not reached',
}

function ordinal(n: number): string {
  const suffix = n % 100 >= 11 && n % 100 <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th')
  return `${n}${suffix}`
}
