import type { Order } from '../order/order.ts'
import { OVERDUE_AFTER_MS } from '../order/promise.ts'
import { instantOf } from '../order/set-aside.ts'
import { clockDifference, howLate, number } from '../runtime/human-numbers.ts'
import { type Answer, OUTCOMES, type VerdictOutcome } from './answer.ts'
import { cancellationOf } from './cancellation.ts'
import {
  bracketed,
  deadlineIn,
  decisionsOf,
  isCancelledStatus,
  isToBeChecked,
  type OrderFacts,
  whenLookedAt,
} from './facts.ts'
import { hindranceOf, holdOf } from './hindrance.ts'

/** An answer, with the outcome that it stands for. */
export interface Verdict extends Answer {
  /** What has become of the order. */
  outcome: VerdictOutcome
  /** Epoch milliseconds. */
  deadline?: number | undefined
}

/** Why the order was cancelled, or what becomes of it. */
export function verdictOf(facts: OrderFacts): Verdict {
  const answer = answerOf(facts)
  return { outcome: OUTCOMES[answer.code], ...answer, deadline: deadlineIn(facts) }
}

function answerOf(facts: OrderFacts): Answer {
  const { order, missing } = facts
  const cancelled = cancellationOf(facts)
  if (cancelled) return cancelled
  if (missing?.store) return findingWithoutStore(facts)
  if (!order) return answerOfMissing(facts)
  if (!order.isUnpaid) return keptAnswer(facts, order)
  return unpaidAnswer(facts, order)
}

/** Of an order that nobody cancels any more. */
function keptAnswer(facts: OrderFacts, { paidAt, status, deadline }: Order): Answer {
  const decided = decisionsOf(facts).at(-1)
  const isCancelled = isCancelledStatus(status, facts.cancelledStatus)
  if (status === '' && paidAt === undefined && !decided?.paid) {
    const text = 'No longer unpaid: whether it was paid or cancelled cannot be told, as its row has no status.'
    return { code: 'UNKNOWN', text }
  }
  if (decided?.outcome === 'kept' && !isCancelled) {
    const { decidedAt, decidedBy, paid } = decided
    const why = paid ? 'it was paid' : `it was no longer unpaid (status ${decided.status})`
    return { code: 'KEPT', text: `Left alone: ${whenLookedAt(decided)}, ${why}.`, decidedAt, decidedBy }
  }
  if (paidAt !== undefined) {
    const so = isCancelled ? `it was not order-expiry that made its status ${status}` : 'it is never cancelled'
    const text = `Paid at ${instantOf(paidAt)}, so ${so}.`
    const lateMs = paidAt - (deadline ?? paidAt)
    return lateMs > 0 ? { code: 'PAID_LATE', text, lateMs } : { code: 'PAID', text }
  }
  const isWithdrawn = status === 'withdrawn'
  const next = isWithdrawn ? 'Schedule it again if it was withdrawn by mistake.' : undefined
  const text = `No longer unpaid: its status is ${status}, so no check cancels it.`
  return { code: isWithdrawn ? 'WITHDRAWN' : 'NO_LONGER_UNPAID', text, next }
}

function unpaidAnswer(facts: OrderFacts, order: Order): Answer {
  const { checks, now } = facts
  const givenUp = checks.find(({ state }) => state === 'failed')
  const isOpen = isToBeChecked(facts)
  if (order.setAside === 'unreadable') return unreadableAnswer(order)
  if (givenUp && !isOpen) {
    const why = givenUp.failedReason ?? 'no reason was recorded'
    return {
      code: 'CHECK_GIVEN_UP',
      text: `Undecided: its check was given up (${why}); replay it once the cause is fixed.`,
      next: `Mend the cause, then run \`order-expiry replay ${givenUp.jobId}\`.`,
    }
  }
  const deadline = order.deadline ?? checks.find((check) => check.deadline !== undefined)?.deadline
  const kept = keptUnpaidAnswer(facts, { order, deadline })
  if (kept) return kept
  if (deadline === undefined) {
    const text = `Unpaid${bracketed(order.status)}, without a payment deadline.`
    return { code: 'NO_DEADLINE', text, next: 'Give it a deadline, or it stays as it is for ever.' }
  }
  if (order.setAside === 'backlog' && !isOpen) {
    return {
      code: 'BACKLOG',
      text: `Backlog: overdue since ${instantOf(deadline)}, more than a day before order-expiry first saw the table, so it is left alone until \`order-expiry sweep --backlog\`.`,
      next: 'Look at what `order-expiry sweep --backlog --dry-run` lists, then cancel the backlog, or settle the order by hand.',
    }
  }
  return deadline > now ? waitingAnswer(facts, deadline) : overdueAnswer(facts, { order, deadline })
}

function unreadableAnswer({ deadline }: Order): Answer {
  const which = deadline === undefined ? '' : ` ${instantOf(deadline)}`
  return {
    code: 'UNREADABLE_DEADLINE',
    text: `Set aside: its deadline${which} cannot be meant (before 2001), so it is never cancelled until that is corrected.`,
    next: 'Correct the deadline of its row.',
  }
}

/** An unpaid order can be kept too: one that is never due, or that the shop's own statement keeps. */
function keptUnpaidAnswer(
  facts: OrderFacts,
  { order, deadline }: { order: Order; deadline: number | undefined },
): Answer | undefined {
  const decided = decisionsOf(facts).at(-1)
  if (decided?.outcome !== 'kept' || decided.paid || decided.status !== order.status) return undefined
  if (deadline !== undefined && deadline > facts.now) return undefined
  const { decidedAt, decidedBy } = decided
  return {
    code: 'KEPT_UNPAID',
    text: `Left alone: ${whenLookedAt(decided)}, it was not to be cancelled${bracketed(order.status && `status ${order.status}`)} by its deadline, a condition or the shop's own statement.`,
    next: 'Look at ORDERS_CONDITION, CANCEL_SQL_FILE and the deadline of its row if it should have been cancelled.',
    decidedAt,
    decidedBy,
  }
}

function waitingAnswer(facts: OrderFacts, deadline: number): Answer {
  const { now, storeAheadMs = 0 } = facts
  const hold = holdOf(facts)
  const willBe = `it will be cancelled at ${instantOf(deadline)} if it is still unpaid`
  if (deadline > now - storeAheadMs) {
    return { code: 'WAITING', text: `Waiting: ${willBe}${hold ? `, but ${hold.text}` : ''}.`, next: hold?.next }
  }
  return {
    code: 'CLOCKS_DIFFER',
    text: `Waiting: ${willBe}, by the clock of the order store, which is ${clockDifference(Math.abs(storeAheadMs))} behind that of this machine.`,
    next: 'Set the clocks right (NTP); `order-expiry doctor` tells which one is off.',
  }
}

function overdueAnswer(facts: OrderFacts, { order, deadline }: { order: Order; deadline: number }): Answer {
  const lateMs = facts.now - deadline
  const late = `still unpaid${bracketed(order.status)} ${howLate(lateMs)} after its payment deadline`
  const hindrance = hindranceOf(facts)
  if (hindrance) return { ...hindrance, text: `Overdue: ${late}: ${hindrance.text}.`, lateMs }
  if (lateMs < OVERDUE_AFTER_MS) {
    const who = order.deadline === undefined ? 'its check' : 'its check or the next sweep'
    const soon = facts.missing?.queue ? '' : `; ${who} is about to cancel it`
    return { code: 'DUE', text: `Due: ${late}${soon}.`, lateMs }
  }
  if (facts.missing?.queue ?? facts.missing?.holds) {
    const text = `Overdue: ${late}; what keeps it from being cancelled cannot be told while Redis cannot be asked.`
    return { code: 'OVERDUE', text, next: 'Try again once Redis is back.', lateMs }
  }
  const next = 'See that a daemon runs for this queue and this store: `order-expiry doctor`, its log, and /readyz tell.'
  return { code: 'OVERDUE', text: `Overdue: ${late}.`, next, lateMs }
}

function answerOfMissing(facts: OrderFacts): Answer {
  const { checks, missing, now } = facts
  const decided = decisionsOf(facts).at(-1)
  const next = 'Look at the id, and at the queue and the order store that this process is set to.'
  if (decided) {
    const { decidedAt, decidedBy, outcome, status } = decided
    const text =
      outcome === 'missing'
        ? `Unknown to the order store ${whenLookedAt(decided)}, and now.`
        : `Left alone: ${whenLookedAt(decided)}, it was no longer unpaid${bracketed(status)}. The order store no longer has it.`
    return { code: 'MISSING', text, next, decidedAt, decidedBy }
  }
  const [check] = checks
  if (!check && missing?.queue) return { code: 'UNKNOWN', text: 'Unknown: the order store has no such order.', next }
  if (!check)
    return { code: 'UNKNOWN', text: `Unknown: ${absenceOf(facts)}, and the order store does not have it.`, next }
  if (check.state === 'failed') {
    const text = `Unknown to the order store; its check was given up (${check.failedReason ?? 'no reason was recorded'}).`
    return { code: 'MISSING', text, next: `Mend the cause, then run \`order-expiry replay ${check.jobId}\`.` }
  }
  const isToCome = check.dueAt !== undefined && check.dueAt > now
  const text = `Unknown to the order store; its check is due ${isToCome ? `at ${instantOf(check.dueAt as number)}` : 'now'}.`
  return { code: 'MISSING', text, next: 'The order must be in the store by the deadline, or nothing is cancelled.' }
}

/** What the queue alone can tell. */
function findingWithoutStore(facts: OrderFacts): Answer {
  const next = 'Try again once the order store is back: only it knows whether the order is unpaid.'
  const decided = decisionsOf(facts).at(-1)
  if (decided) {
    const { outcome, status, decidedAt, decidedBy } = decided
    const seen = status === undefined ? 'no such order' : status ? `status ${status}` : 'no status'
    const text = `Left alone at ${decidedAt}: the order store said: ${seen}. What it says now is not known.`
    return { code: outcome === 'missing' ? 'MISSING' : 'KEPT', text, next, decidedAt, decidedBy }
  }
  const open = facts.checks.find(({ state }) => state !== 'finished' && state !== 'failed')
  if (open) {
    const when = open.dueAt !== undefined && open.dueAt > facts.now ? `at ${instantOf(open.dueAt)}` : 'now'
    const text = `Waiting: its check is due ${when}; whether it is still unpaid is not known while the order store cannot be asked.`
    return { code: 'WAITING', text, next }
  }
  const [check] = facts.checks
  if (check) {
    const text = `Undecided: its check was given up (${check.failedReason ?? 'no reason was recorded'}).`
    return { code: 'CHECK_GIVEN_UP', text, next }
  }
  return { code: 'UNKNOWN', text: `Unknown: ${absenceOf(facts)}, and the order store cannot be asked.`, next }
}

/** What is not there, as far as was looked. */
function absenceOf({ looked }: OrderFacts): string {
  if (!looked || looked.jobs >= looked.of) return 'the queue has nothing of it'
  return `the queue has no check under our id for it, nor a job of it among the ${number(looked.jobs)} of ${number(looked.of)} that were looked at`
}
