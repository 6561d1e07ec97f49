import { howLate } from '../runtime/human-numbers.ts'
import type { Answer } from './answer.ts'
import { type Decided, decisionsOf, type OrderFacts } from './facts.ts'

/** That the order was cancelled, and by whom, as far as that is known; undefined: it was not, or it is unpaid again. */
export function cancellationOf(facts: OrderFacts): Answer | undefined {
  const { order } = facts
  // An order may be unpaid again after it was cancelled: then that says nothing about the present.
  if (order?.isUnpaid) return undefined
  const decided = decisionsOf(facts).findLast(({ outcome }) => outcome === 'cancelled')
  if (!decided) return unreportedCancellation(facts)
  const changed = changeSince(facts, decided)
  if (changed) return changed
  const { decidedAt, decidedBy, deadline, by, status } = decided
  const lateMs = Date.parse(decidedAt) - Date.parse(deadline)
  const bySweep = by === 'sweep' ? ' by a sweep' : ''
  const text = `Cancelled ${decidedAt}${bySweep}, because it was still unpaid (${status ?? 'unknown'}) ${howLate(lateMs)} after its payment deadline ${deadline}.${presenceOf(facts)}`
  const code = by === 'sweep' ? 'CANCELLED_BY_SWEEP' : 'CANCELLED_BY_CHECK'
  return { code, text, decidedAt, decidedBy, lateMs }
}

function presenceOf({ order, missing }: OrderFacts): string {
  if (order) return ''
  return missing?.store ? ' What has become of it since is not known.' : ' The order store no longer has it.'
}

function changeSince({ order, cancelledStatus }: OrderFacts, { decidedAt, decidedBy }: Decided): Answer | undefined {
  if (order?.paidAt !== undefined) {
    return {
      code: 'PAID_AFTER_CANCELLATION',
      text: `Cancelled ${decidedAt}, and paid afterwards (the row says ${iso(order.paidAt)}): what it held was given back before.`,
      next: 'Give the money back, or fulfil the order by hand if its stock is still there.',
      decidedAt,
      decidedBy,
    }
  }
  if (!order || !cancelledStatus || order.status.trim() === cancelledStatus) return undefined
  return {
    code: 'CHANGED_AFTER_CANCELLATION',
    text: `Cancelled ${decidedAt}; somebody has changed it since: its status is ${order.status}.`,
    next: 'If that means that it was paid: give the money back, or fulfil it by hand if its stock is still there.',
    decidedAt,
    decidedBy,
  }
}

/** A cancellation of which there is no evidence. */
function unreportedCancellation({ order, events, missing }: OrderFacts): Answer | undefined {
  const event = events?.find(({ type }) => type === 'order.cancelled')
  const at = order?.cancelledAt ?? event?.at
  if (at === undefined) return undefined
  const decidedAt = iso(at)
  if (event) {
    const evidence = missing?.queue ? 'whose evidence cannot be read now' : 'that is no longer kept'
    const text = `Cancelled ${decidedAt}, by a sweep or a check of order-expiry ${evidence}.`
    return { code: 'CANCELLED_BY_ORDER_EXPIRY', text, decidedAt }
  }
  if (order?.deadline !== undefined && at < order.deadline) {
    const text = `Cancelled ${decidedAt}, before its payment deadline, so not by order-expiry.`
    return { code: 'CANCELLED_BY_OTHERS', text, decidedAt }
  }
  const unknown = missing?.queue ? 'cannot be told while Redis cannot be asked' : 'is no longer known'
  return { code: 'CANCELLED_BY_UNKNOWN', text: `Cancelled ${decidedAt}; who cancelled it ${unknown}.`, decidedAt }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
