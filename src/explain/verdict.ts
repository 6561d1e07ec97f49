import type { Order } from '../order/order.ts'
import { instantOf } from '../order/set-aside.ts'
import type { KeptEvent } from '../order/store.ts'
import type { CheckFacts } from '../queue/view/check-facts.ts'
import type { QueueHolds } from '../queue/view/queue-view.ts'
import { howLate } from '../runtime/human-numbers.ts'

/** What is known of one order. */
export interface OrderFacts {
  orderId: string
  now: number
  check: CheckFacts | undefined
  order: Order | undefined
  /** Those that the store still has; undefined: it cannot tell, or keeps none. */
  events?: readonly KeptEvent[] | undefined
  holds?: Holds
}

/** What keeps all orders from being cancelled now. */
export type Holds = Partial<QueueHolds> & { dryRun?: boolean }

/** Why the order was cancelled, or what becomes of it, in one sentence. */
export function verdictOf(facts: OrderFacts): string {
  const { order, check, now } = facts
  const finished = check?.finished
  if (finished?.outcome === 'cancelled') {
    const lateMs = Date.parse(finished.decidedAt) - Date.parse(finished.deadline)
    return `Cancelled ${finished.decidedAt}, because it was still unpaid (${finished.status ?? 'unknown'}) ${howLate(lateMs)} after its payment deadline ${finished.deadline}.`
  }
  const cancelled = cancellationOf(facts)
  if (cancelled) return cancelled
  if (finished?.outcome === 'kept') {
    return `Left alone: when its check came, ${finished.decidedAt}, ${whyKept(finished, order)}.`
  }
  if (!order) return verdictOfUnknown(check, now)
  if (order.paidAt !== undefined) return `Paid ${iso(order.paidAt)}, so it is never cancelled.`
  if (!order.isUnpaid) return `No longer unpaid: its status is ${order.status}, so no check cancels it.`
  if (order.setAside === 'unreadable') {
    const which = order.deadline === undefined ? '' : ` ${instantOf(order.deadline)}`
    return `Set aside: its deadline${which} cannot be meant (before 2001), so it is never cancelled until that is corrected.`
  }
  if (check?.state === 'failed') {
    const why = check.failedReason ?? 'no reason was recorded'
    return `Undecided: its check was given up (${why}); replay it once the cause is fixed.`
  }
  const deadline = order.deadline ?? check?.deadline
  if (deadline === undefined) return `Unpaid (${order.status}), without a payment deadline.`
  const hold = holdOf(facts)
  if (order.setAside === 'backlog' && !isToBeChecked(check)) {
    return `Backlog: overdue since ${iso(deadline)}, more than a day before order-expiry first saw the table, so it is left alone until \`order-expiry sweep --backlog\`.`
  }
  if (deadline > now) {
    return `Waiting: it will be cancelled ${iso(deadline)} if it is still unpaid${hold ? `, but ${hold}` : ''}.`
  }
  return `Overdue: still unpaid (${order.status}) ${howLate(now - deadline)} after its payment deadline${hold ? `: ${hold}` : ''}.`
}

/** An unpaid order can be kept too: one that is never due, or that the shop's own statement keeps. */
function whyKept({ paid, status }: { paid?: boolean; status?: string | undefined }, order: Order | undefined): string {
  if (paid) return 'it was paid'
  if (!order?.isUnpaid || order.status !== status) return `it was no longer unpaid (status ${status})`
  return `it was not to be cancelled (status ${status}) by its deadline, a condition or the shop's own statement`
}

/** A cancellation that no check reports. */
function cancellationOf({ order, events }: OrderFacts): string | undefined {
  // An order may be unpaid again after it was cancelled: then its event says nothing about the present.
  const event = order?.isUnpaid ? undefined : events?.find(({ type }) => type === 'order.cancelled')
  const at = order?.cancelledAt ?? event?.at
  if (at === undefined) return undefined
  if (event) return `Cancelled ${iso(at)}, by a sweep or a check of order-expiry that is no longer kept.`
  const isEarly = order?.deadline !== undefined && at < order.deadline
  return isEarly
    ? `Cancelled ${iso(at)}, before its payment deadline, so not by order-expiry.`
    : `Cancelled ${iso(at)}; who cancelled it is no longer known.`
}

/** Somebody has added it on purpose: no sweep gives an order of the backlog a check. */
function isToBeChecked(check: CheckFacts | undefined): boolean {
  return check !== undefined && check.state !== 'finished' && check.state !== 'failed'
}

function verdictOfUnknown(check: CheckFacts | undefined, now: number): string {
  if (!check) return 'Unknown: neither the queue nor the order store has it.'
  if (check.finished) return `Unknown to the order store when its check came, ${check.finished.decidedAt}, and now.`
  const isToCome = check.dueAt !== undefined && check.dueAt > now
  return `Unknown to the order store; its check is due ${isToCome ? iso(check.dueAt as number) : 'now'}.`
}

function holdOf({ holds = {}, check }: OrderFacts): string | undefined {
  const { brake, isPaused, dryRun } = holds
  if (brake?.isUnknown) return 'nothing is cancelled, because the state of the brake cannot be read'
  if (brake) return `the brake is holding back all cancellations${brake.reason ? ` (${brake.reason})` : ''}`
  if (dryRun) return 'nothing is cancelled while DRY_RUN is set'
  return isPaused && check ? 'the queue is paused, so only the sweep cancels orders' : undefined
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
