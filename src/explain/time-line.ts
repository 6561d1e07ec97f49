import type { SinkDelivery } from '../order/outbox.ts'
import { instantOf } from '../order/set-aside.ts'
import type { KeptEvent } from '../order/store.ts'
import type { SweepNote } from '../queue/sweep-notes.ts'
import type { CheckFacts } from '../queue/view/check-facts.ts'
import { count, number } from '../runtime/human-numbers.ts'
import { type Decided, deadlineIn, type OrderFacts } from './facts.ts'

export const EVENT_CODES = [
  'CHECK_SCHEDULED',
  'DEADLINE_MOVED',
  'CHECK_REPLACED',
  'CHECK_BEGUN',
  'CHECK_POSTPONED',
  'CHECK_RETRIED',
  'CHECK_UNREADABLE',
  'CHECK_DECIDED',
  'CHECK_GIVEN_UP',
  'CHECK_TO_COME',
  'CHECK_DUE',
  'NO_CHECK',
  'SWEEP_DECIDED',
  'SWEEP_LEFT',
  'DEADLINE',
  'PAID',
  'CANCELLED',
  'STATUS',
  'NOT_IN_STORE',
  'EVENT_WRITTEN',
  'EVENT_DELIVERED',
  'EVENT_GIVEN_UP',
  'EVENT_STATE',
  'NOTE',
] as const

/** One thing that happened to an order, or will. */
export interface StoryEvent {
  /** Epoch milliseconds; undefined where nobody wrote down when. */
  at: number | undefined
  code: (typeof EVENT_CODES)[number]
  text: string
}

/** What is known of an order, in order of time. */
export function timeLineOf(facts: OrderFacts): StoryEvent[] {
  const { checks, swept, missing, now } = facts
  const events = [
    ...checks.flatMap((check) => eventsOfCheck(check, { isOnly: checks.length === 1, now })),
    ...(missing?.queue ? [] : eventsOfLook(facts)),
    ...swept.map(eventOfSweep),
    ...eventsOfDeadline(facts),
    ...(missing?.store ? [] : eventsOfOrder(facts)),
    ...eventsOfOutbox(facts),
  ]
  // Stable: what has the same time stays in the order in which it happens.
  return events.sort((a, b) => (a.at ?? Number.NEGATIVE_INFINITY) - (b.at ?? Number.NEGATIVE_INFINITY))
}

function eventsOfCheck(check: CheckFacts, { isOnly, now }: { isOnly: boolean; now: number }): StoryEvent[] {
  const { jobId, scheduledAt, scheduledBy, notes, starts, startedAt, finishedAt, finished, failedReason } = check
  const { dueAt, state, deadline } = check
  const which = isOnly ? '' : `, job ${jobId}`
  const by = scheduledBy ? ` by ${scheduledBy}` : ''
  const events: StoryEvent[] = [
    { at: scheduledAt, code: 'CHECK_SCHEDULED', text: `check scheduled${by}${which}` },
    ...notes.map(({ at, code, what }) => ({ at, code, text: `${what}${which}` })),
  ]
  if (startedAt !== undefined) {
    const text = starts > 1 ? `check begun, for the ${ordinal(starts)} time` : 'check begun'
    events.push({ at: startedAt, code: 'CHECK_BEGUN', text: `${text}${which}` })
  }
  if (finished) events.push(eventOfDecision({ ...finished, by: 'check' }))
  if (state === 'failed') {
    const text = `check given up: ${failedReason ?? 'no reason was recorded'}${which}`
    events.push({ at: finishedAt, code: 'CHECK_GIVEN_UP', text })
  }
  const isToCome = state === 'waiting' && dueAt !== undefined && dueAt > now
  if (isToCome) events.push({ at: dueAt, code: 'CHECK_TO_COME', text: `check to come${which}` })
  if (state === 'due' || (state === 'waiting' && !isToCome))
    events.push({ at: dueAt ?? deadline, code: 'CHECK_DUE', text: `check due, not begun yet${which}` })
  return events
}

function eventOfDecision({ outcome, status, paid, decidedAt, decidedBy, by }: Decided): StoryEvent {
  const at = Date.parse(decidedAt)
  const seen =
    status === undefined
      ? 'no such order'
      : `${status ? `status ${status}` : 'no status'}${paid ? ', with a time of payment' : ''}`
  const who = by === 'check' ? decidedBy : `a sweep of ${decidedBy}`
  const code = by === 'check' ? 'CHECK_DECIDED' : 'SWEEP_DECIDED'
  return { at, code, text: `decided by ${who}: ${outcome}, the store said: ${seen}` }
}

function eventOfSweep(note: SweepNote): StoryEvent {
  if ('outcome' in note) return eventOfDecision({ ...note, by: 'sweep' })
  const { at, why, by, message } = note
  const what = WHAT_SWEEPS_MEET[why] ?? `${why}${message ? `: ${message}` : ''}`
  return { at: Date.parse(at), code: 'SWEEP_LEFT', text: `left unpaid by a sweep of ${by}: ${what}` }
}

const WHAT_SWEEPS_MEET: Record<string, string> = {
  locked: 'another transaction had locked its row',
  brake: 'the brake held it back',
  'dry-run': 'in a dry run, it would have been cancelled',
}

/** That there is no job of the order, and where it was looked for. */
function eventsOfLook({ checks, looked }: OrderFacts): StoryEvent[] {
  if (checks.length > 0) return []
  const where = looked
    ? `; of the ${number(looked.of)} jobs of the queue, ${number(looked.jobs)} were looked at for one under another id`
    : ''
  const text = `the queue has no check under our id for it: it was never scheduled, has another id, was withdrawn, or has been deleted${where}`
  return [{ at: undefined, code: 'NO_CHECK', text }]
}

/** Of the order store or, where it does not tell, of the check or of what was decided. */
function eventsOfDeadline(facts: OrderFacts): StoryEvent[] {
  const deadline = deadlineIn(facts)
  if (deadline === undefined) return []
  const text = deadline > facts.now ? 'payment deadline, to come' : 'payment deadline'
  const isUnreadable = facts.order?.setAside === 'unreadable'
  return [{ at: deadline, code: 'DEADLINE', text: isUnreadable ? `${text}, which cannot be meant` : text }]
}

function eventsOfOrder({ order, now }: OrderFacts): StoryEvent[] {
  const events: StoryEvent[] = []
  if (order?.paidAt !== undefined) {
    events.push({ at: order.paidAt, code: 'PAID', text: 'paid, according to the order store' })
  }
  if (order?.cancelledAt !== undefined) {
    events.push({ at: order.cancelledAt, code: 'CANCELLED', text: 'cancelled, according to the order store' })
  }
  const status = order?.status ? `status ${order.status}` : order?.isUnpaid ? 'unpaid' : 'no longer unpaid'
  const state: StoryEvent = order
    ? { at: now, code: 'STATUS', text: `now: ${status}, according to the order store` }
    : { at: now, code: 'NOT_IN_STORE', text: 'now: the order store has no such order' }
  return [...events, state]
}

/** What became of its events, of which that of a cancellation is always written. */
function eventsOfOutbox({ events, checks, swept, now }: OrderFacts): StoryEvent[] {
  const isCancelled =
    checks.some(({ finished }) => finished?.outcome === 'cancelled') ||
    swept.some((note) => 'outcome' in note && note.outcome === 'cancelled')
  const isTaken = isCancelled && events?.every(({ type }) => type !== 'order.cancelled')
  const text = 'now: its event is no longer in the outbox, so it has been taken'
  const taken: StoryEvent[] = isTaken ? [{ at: now, code: 'EVENT_STATE', text }] : []
  const written = (events ?? []).flatMap((event): StoryEvent[] => [
    { at: event.at, code: 'EVENT_WRITTEN', text: `event ${event.type} written, ${event.id}` },
    ...statesOf(event).map((text): StoryEvent => ({ at: now, code: 'EVENT_STATE', text: `now: ${text}` })),
    ...(event.deliveries ?? []).map((delivery) => eventOfDelivery(event, delivery, now)),
  ])
  return [...taken, ...written]
}

/** Who else has it, or where it is. */
function statesOf({ id, readers, deliveries }: KeptEvent): string[] {
  if (deliveries?.length === 0) return [`event ${id} is not, or no longer, to be delivered`, ...readBy(id, readers)]
  if (readers) return readBy(id, readers)
  return deliveries ? [] : [`event ${id} is still in the outbox`]
}

function readBy(id: string, readers: KeptEvent['readers'] = []): string[] {
  return readers.map(({ name, state }) => `${name} ${WHERE_READERS_ARE[state]} event ${id}`)
}

function eventOfDelivery({ id }: KeptEvent, delivery: SinkDelivery, now: number): StoryEvent {
  const { sink, state, at, failures, why } = delivery
  const failed = `${count(failures, 'attempt')} failed${why ? `, the last: ${why}` : ''}`
  if (state === 'given-up') return { at, code: 'EVENT_GIVEN_UP', text: `event ${id} given up for ${sink}: ${failed}` }
  if (state === 'delivered') return { at, code: 'EVENT_DELIVERED', text: `event ${id} delivered to ${sink}` }
  const next =
    at !== undefined && at > now ? `is sent to ${sink} again at ${instantOf(at)}` : `is to be sent to ${sink}`
  return { at: now, code: 'EVENT_STATE', text: `now: event ${id} ${next}${failures > 0 ? `: ${failed}` : ''}` }
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
