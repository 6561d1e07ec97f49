import { SWEPT_AFTER_MS } from '../order/promise.ts'
import { instantOf } from '../order/set-aside.ts'
import { howLate } from '../runtime/human-numbers.ts'
import type { Answer } from './answer.ts'
import {
  bracketed,
  type Decided,
  deadlineIn,
  decisionsOf,
  isCancelledStatus,
  type OrderFacts,
  whenLookedAt,
} from './facts.ts'

/** That the order was cancelled, and by whom, as far as that is known; undefined: it was not, or it is unpaid again. */
export function cancellationOf(facts: OrderFacts): Answer | undefined {
  const { order } = facts
  // An order may be unpaid again after it was cancelled: then that says nothing about the present.
  if (order?.isUnpaid) return undefined
  const decided = decisionsOf(facts).findLast(({ outcome }) => outcome === 'cancelled')
  if (!decided) return unreportedCancellation(facts)
  const { decidedAt, decidedBy, deadline, by, status } = decided
  const changed = changeSince(facts, decidedAt)
  if (changed) return { ...changed, decidedBy }
  const lateMs = Date.parse(decidedAt) - Date.parse(deadline)
  const bySweep = by === 'sweep' ? ' by a sweep' : ''
  const text = `Cancelled at ${decidedAt}${bySweep}, because it was still unpaid${bracketed(status)} ${howLate(lateMs)} after its payment deadline of ${deadline}.${presenceOf(facts)}`
  const code = by === 'sweep' ? 'CANCELLED_BY_SWEEP' : 'CANCELLED_BY_CHECK'
  return { code, text, decidedAt, decidedBy, lateMs }
}

function presenceOf({ order, missing }: OrderFacts): string {
  if (order) return ''
  return missing?.store ? ' What has become of it since is not known.' : ' The order store no longer has it.'
}

/** What somebody has done to the order after it was cancelled. */
function changeSince({ order, events, cancelledStatus }: OrderFacts, decidedAt: string): Answer | undefined {
  if (order?.paidAt !== undefined)
    return paidSince({ order, events, cancelledStatus }, { paidAt: order.paidAt, decidedAt })
  if (!order || !cancelledStatus || isCancelledStatus(order.status, cancelledStatus)) return undefined
  return {
    code: 'CHANGED_AFTER_CANCELLATION',
    text: `Cancelled at ${decidedAt}; somebody has changed it since: its status is ${order.status}.`,
    next: 'If that means that it was paid: give the money back, or fulfil it by hand if its stock is still there.',
    decidedAt,
  }
}

function paidSince(
  { order, events, cancelledStatus }: Pick<OrderFacts, 'order' | 'events' | 'cancelledStatus'>,
  { paidAt, decidedAt }: { paidAt: number; decidedAt: string },
): Answer {
  const told = events?.find(({ type }) => type === 'order.paid_late')
  const text = `Cancelled at ${decidedAt}, and paid afterwards (the row says ${instantOf(paidAt)})`
  if (told?.reopened) return { code: 'REOPENED', text: `${text}; REOPEN_SQL_FILE has opened it again.`, decidedAt }
  const isCancelled = isCancelledStatus(order?.status, cancelledStatus)
  const notice = told ? `; order.paid_late tells of it, ${told.id}` : ''
  return {
    code: 'PAID_AFTER_CANCELLATION',
    text: `${text}: what it held was given back before${notice}.`,
    next:
      isCancelled || !cancelledStatus
        ? 'Give the money back, or fulfil the order by hand if its stock is still there.'
        : 'If it was not opened again, with its stock: give the money back, or fulfil the order by hand.',
    decidedAt,
  }
}

/** A cancellation of which there is no evidence. */
function unreportedCancellation(facts: OrderFacts): Answer | undefined {
  const { order, events, missing } = facts
  const event = events?.find(({ type }) => type === 'order.cancelled')
  const at = order?.cancelledAt ?? event?.at
  if (at === undefined) return cancellationInStatus(facts)
  const decidedAt = instantOf(at)
  const { paidAt, deadline } = order ?? {}
  const changed = (event || (paidAt ?? at) > at) && changeSince(facts, decidedAt)
  if (changed) return changed
  if (event) {
    const evidence = missing?.queue ? 'whose evidence cannot be read now' : 'that is no longer kept'
    const text = `Cancelled at ${decidedAt}, by a sweep or a check of order-expiry ${evidence}.${presenceOf(facts)}`
    return { code: 'CANCELLED_BY_ORDER_EXPIRY', text, decidedAt }
  }
  const isEarly = deadline !== undefined && at < deadline
  if (!isEarly && paidAt === undefined) {
    const text = `Cancelled at ${decidedAt}; who cancelled it ${unknownOf(facts)}.`
    return { code: 'CANCELLED_BY_UNKNOWN', text, decidedAt }
  }
  const text = `Cancelled at ${decidedAt}, ${isEarly ? 'before its payment deadline' : 'after it was paid'}, so not by order-expiry.`
  return { code: 'CANCELLED_BY_OTHERS', text, decidedAt }
}

/** A cancellation of which only the status tells, now or, where the store cannot, when it was last seen. */
function cancellationInStatus(facts: OrderFacts): Answer | undefined {
  const { order, cancelledStatus } = facts
  const decided = decisionsOf(facts).at(-1)
  const { status, paidAt } = order ?? { status: decided?.paid ? undefined : decided?.status }
  if (!isCancelledStatus(status, cancelledStatus)) return undefined
  if (paidAt !== undefined) {
    // Paid in time: see `keptAnswer`. Some shops give paid orders the same status.
    if (decided?.paid || paidAt <= (deadlineIn(facts) ?? paidAt)) return undefined
    const text = `Cancelled, and paid at ${instantOf(paidAt)}, after its payment deadline; which came first is not known.`
    const next = 'If it was cancelled first: give the money back, or fulfil it by hand if its stock is still there.'
    return { code: 'CANCELLED_BY_UNKNOWN', text, next }
  }
  const found = decided?.paid ? decided : foundCancelled(facts)
  if (!found) {
    const text = `Cancelled; when and by whom ${unknownOf(facts)}.${presenceOf(facts)}`
    return { code: 'CANCELLED_BY_UNKNOWN', text }
  }
  const saw = found.paid ? 'it was paid' : `its status was ${found.status} already`
  const text = `Cancelled, but not by order-expiry: ${whenLookedAt(found)}, ${saw}.${presenceOf(facts)}`
  return { code: 'CANCELLED_BY_OTHERS', text }
}

/** By a check that came for the first time, and before sweeps settle anything. */
function foundCancelled({ checks, cancelledStatus }: OrderFacts): Decided | undefined {
  const found = checks.find(({ starts, finished }) => {
    if (!finished || starts > 1 || !isCancelledStatus(finished.status, cancelledStatus)) return false
    return Date.parse(finished.decidedAt) - Date.parse(finished.deadline) < SWEPT_AFTER_MS
  })
  return found?.finished && { ...found.finished, by: 'check' }
}

function unknownOf({ missing }: OrderFacts): string {
  return missing?.queue ? 'cannot be told while Redis cannot be asked' : 'is no longer known'
}
