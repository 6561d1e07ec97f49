import type { OrderExpiryError } from '../errors.ts'
import type { Payment } from './payment-gateway.ts'

/** The order as its store knows it now. Times are epoch milliseconds. */
export interface Order {
  orderId: string
  status: string
  /** Whether the store counts it as unpaid: a check cancels it once its deadline has passed. */
  isUnpaid: boolean
  /** Undefined when the store keeps no deadline for it. */
  deadline: number | undefined
  /** Why nobody cancels it by itself, although it is unpaid and past its deadline; see {@link SetAside} in store.ts. */
  setAside?: 'backlog' | 'unreadable' | undefined
  paidAt?: number | undefined
  cancelledAt: number | undefined
  /** How it is paid, where the store knows that and there is something to be closed. */
  payment?: Payment | undefined
}

/** An {@link Order} for a reader: its times as dates, without those that are unknown. */
export type ReadableOrder = ReturnType<typeof describeOrder>

export function describeOrder({ status, deadline, paidAt, cancelledAt, setAside }: Order) {
  return {
    status,
    ...(deadline !== undefined && { deadline: new Date(deadline) }),
    ...(paidAt !== undefined && { paidAt: new Date(paidAt) }),
    ...(cancelledAt !== undefined && { cancelledAt: new Date(cancelledAt) }),
    ...(setAside && { setAside }),
  }
}

/** A request to check an order now. */
export interface Check {
  orderId: string
  /** Epoch milliseconds. Counts only where the store itself keeps no deadline for the order. */
  deadline: number
  /** The reference of a payment that its provider has closed: the order may be cancelled if it has this one, or none. */
  closed?: string | undefined
}

export type PostponeReason = 'not-due' | 'locked' | 'brake' | 'dry-run' | 'payment'

/** What a decision rests on. Times are epoch milliseconds by the order store's clock. */
export interface Evidence {
  decidedAt: number
  /** The status that was seen when deciding; undefined if there was no order. */
  status?: string | undefined
  /** True if the order was marked paid beside its status. */
  paid?: true
  deadline?: number | undefined
}

/** What became of one check. Times are epoch milliseconds by the order store's clock. */
export type Outcome = { evidence: Evidence } & (
  | { kind: 'cancelled'; at: number }
  | { kind: 'kept'; status: string }
  | { kind: 'missing' }
  | { kind: 'postponed'; until: number; reason: Exclude<PostponeReason, 'payment'> }
  /** It would be cancelled, but for `payment`, which could still be paid. `closed`: looking again is worthwhile once that is resolved. */
  | { kind: 'postponed'; until: number; reason: 'payment'; payment: Payment; closed?: Promise<void> }
  /** The order itself stands in the way of its cancellation, which left nothing behind: STORE_REJECTED says why. */
  | { kind: 'rejected'; error: OrderExpiryError }
)

/** It would be cancelled, once its payment is closed. */
export function isPayable(outcome: Outcome): outcome is Extract<Outcome, { reason: 'payment' }> {
  return outcome.kind === 'postponed' && outcome.reason === 'payment'
}
