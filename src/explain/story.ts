import type { Order } from '../order/order.ts'
import type { KeptEvent } from '../order/store.ts'
import type { CheckFacts } from '../queue/view/check-facts.ts'
import type { CheckNote } from '../queue/view/check-notes.ts'
import type { QueueHolds } from '../queue/view/queue-view.ts'
import { howLate } from '../runtime/human-numbers.ts'

/** One thing that happened to an order, or will. */
type StoryLine = CheckNote

export interface Story {
  orderId: string
  /** The answer in one sentence, for whoever is asked why. */
  verdict: string
  /** In order of time. */
  lines: StoryLine[]
  /** Whether the queue or the store has it. */
  isKnown: boolean
}

/** As it is printed and answered; times are ISO 8601. */
interface StoryJson {
  orderId: string
  verdict: string
  story: { at?: string; what: string }[]
}

export function storyJsonOf({ orderId, verdict, lines }: Story): StoryJson {
  return {
    orderId,
    verdict,
    story: lines.map(({ at, what }) => ({ ...(at !== undefined && { at: iso(at) }), what })),
  }
}

/** What keeps orders from being cancelled now, for whatever order. */
export type Holds = Partial<QueueHolds> & { dryRun?: boolean }

interface Facts {
  holds?: Holds
  /** Of this order, as far as the store still has them; undefined: it cannot tell, or keeps none. */
  events?: readonly KeptEvent[] | undefined
  orderId: string
  now: number
  check: CheckFacts | undefined
  order: Order | undefined
}

/** One order's story, from what its check and its store say. Either may be gone, or never have been. */
export function tellStory(facts: Facts): Story {
  const { orderId } = facts
  const lines = [...linesOfCheck(facts.check), ...linesOfOrder(facts), ...linesOfEvents(facts)]
  // Stable: what has the same time stays in the order in which it happens.
  lines.sort((a, b) => (a.at ?? Number.NEGATIVE_INFINITY) - (b.at ?? Number.NEGATIVE_INFINITY))
  return {
    orderId,
    verdict: verdictOf(facts),
    lines,
    isKnown: Boolean(facts.check ?? facts.order ?? facts.events?.[0]),
  }
}

function linesOfCheck(check: CheckFacts | undefined): StoryLine[] {
  if (!check)
    return [
      {
        at: undefined,
        what: 'the queue has no check of it under our id: it was scheduled by nobody, or under another id, or withdrawn, or its check is no longer kept',
      },
    ]
  const { scheduledAt, scheduledBy, notes, starts, startedAt, finishedAt, finished, failedReason, dueAt, state } = check
  const lines: StoryLine[] = [
    { at: scheduledAt, what: `check scheduled${scheduledBy ? ` by ${scheduledBy}` : ''}` },
    ...notes,
  ]
  if (startedAt !== undefined)
    lines.push({ at: startedAt, what: starts > 1 ? `check begun, for the ${ordinal(starts)} time` : 'check begun' })
  if (finished) {
    const { outcome, status, paid, decidedAt, decidedBy } = finished
    const seen = status === undefined ? 'no such order' : `status ${status}${paid ? ', paid' : ''}`
    lines.push({ at: Date.parse(decidedAt), what: `decided by ${decidedBy}: ${outcome}, the store said: ${seen}` })
  }
  if (state === 'failed') lines.push({ at: finishedAt, what: `check given up: ${failedReason ?? 'nobody said why'}` })
  if (state === 'waiting' && dueAt !== undefined) lines.push({ at: dueAt, what: 'check to come' })
  if (state === 'due') lines.push({ at: dueAt ?? check.deadline, what: 'check due, and about to be begun' })
  return lines
}

function linesOfOrder({
  order,
  check,
  now,
}: {
  order: Order | undefined
  check: CheckFacts | undefined
  now: number
}): StoryLine[] {
  const deadline = order?.deadline ?? check?.deadline
  const lines: StoryLine[] = []
  if (deadline !== undefined)
    lines.push({ at: deadline, what: deadline > now ? 'payment deadline, to come' : 'payment deadline' })
  if (order?.paidAt !== undefined) lines.push({ at: order.paidAt, what: 'paid, says the order store' })
  if (order?.cancelledAt !== undefined) lines.push({ at: order.cancelledAt, what: 'cancelled, says the order store' })
  if (order) lines.push({ at: now, what: `now: status ${order.status}, says the order store` })
  else lines.push({ at: now, what: 'now: the order store has no such order' })
  return lines
}

/** What became of the events that tell others of the cancellation. */
function linesOfEvents({ events, check, now }: Facts): StoryLine[] {
  if (!events) return []
  if (events.length === 0) {
    const isOurs = check?.finished?.outcome === 'cancelled'
    return isOurs ? [{ at: now, what: 'now: its event is no longer in the outbox, so it has been taken' }] : []
  }
  return events.flatMap(({ id, type, at, readers }) => [
    { at, what: `event ${type} written, ${id}` },
    ...(readers
      ? readers.map(({ name, state }) => ({ at: now, what: `now: ${name} ${READER[state]} event ${id}` }))
      : [{ at: now, what: `now: event ${id} is still in the outbox` }]),
  ])
}

const READER = {
  past: 'is past, and owes no acknowledgement of,',
  given: 'was given, and has not acknowledged,',
  waiting: 'has not come to',
}

function verdictOf(facts: Facts): string {
  const { order, check, now } = facts
  const finished = check?.finished
  if (finished?.outcome === 'cancelled') {
    const lateMs = Date.parse(finished.decidedAt) - Date.parse(finished.deadline)
    return `Cancelled ${finished.decidedAt}, because it was still unpaid (${finished.status ?? 'unknown'}) ${howLate(lateMs)} after its payment deadline ${finished.deadline}.`
  }
  // Without a time of its own, an order that is unpaid again tells of no cancellation.
  const mayBeCancelled = !order?.isUnpaid
  const event = mayBeCancelled ? facts.events?.find(({ type }) => type === 'order.cancelled') : undefined
  const cancelledAt = order?.cancelledAt ?? event?.at
  if (cancelledAt !== undefined) {
    const isEarly = order?.deadline !== undefined && cancelledAt < order.deadline
    const who = event
      ? ', by a sweep or a check of order-expiry that is no longer kept'
      : isEarly
        ? ', before its payment deadline, so by somebody else'
        : '; who decided is not kept'
    return `Cancelled ${iso(cancelledAt)}${who}.`
  }
  if (finished?.outcome === 'kept') {
    const why = finished.paid ? 'it was paid' : `it was no longer unpaid (status ${finished.status})`
    return `Left alone: when its check came, ${finished.decidedAt}, ${why}.`
  }
  if (!order) return verdictOfUnknown(check, now)
  if (order.paidAt !== undefined) return `Paid ${iso(order.paidAt)}, and so never cancelled.`
  if (!order.isUnpaid) return `No longer unpaid: its status is ${order.status}, so no check cancels it.`
  if (check?.state === 'failed') {
    return `Undecided: its check was given up (${check.failedReason ?? 'nobody said why'}); replay it once the cause is mended.`
  }
  const deadline = order.deadline ?? check?.deadline
  if (deadline === undefined) return `Unpaid (${order.status}), without a payment deadline.`
  const hold = holdOf(facts)
  if (deadline > now)
    return `Waiting: unpaid until ${iso(deadline)}, it is cancelled then${hold ? `, but ${hold}` : ''}.`
  return `Overdue: still unpaid (${order.status}), its payment deadline was ${howLate(now - deadline)} ago${hold ? `: ${hold}` : ''}.`
}

function holdOf({ holds = {}, check }: Facts): string | undefined {
  const { brake, isPaused, dryRun } = holds
  if (brake) return `the brake holds back all cancellations now${brake.reason ? ` (${brake.reason})` : ''}`
  if (dryRun) return 'nothing is cancelled while DRY_RUN is set'
  return isPaused && check ? 'the queue is paused, so that only the sweep cancels orders' : undefined
}

function verdictOfUnknown(check: CheckFacts | undefined, now: number): string {
  if (!check) return 'Unknown: neither the queue nor the order store has it.'
  if (check.finished) return `Unknown to the order store when its check came, ${check.finished.decidedAt}, and still.`
  if (check.dueAt !== undefined && check.dueAt > now)
    return `Unknown to the order store; its check comes ${iso(check.dueAt)}.`
  return 'Unknown to the order store; its check is due.'
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function ordinal(n: number): string {
  const suffix = n % 100 >= 11 && n % 100 <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th')
  return `${n}${suffix}`
}
