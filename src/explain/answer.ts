/** Every verdict by its code, with the outcome that it stands for. */
export const OUTCOMES = {
  CANCELLED_BY_CHECK: 'cancelled',
  CANCELLED_BY_SWEEP: 'cancelled',
  CANCELLED_BY_ORDER_EXPIRY: 'cancelled',
  CANCELLED_BY_OTHERS: 'cancelled',
  CANCELLED_BY_UNKNOWN: 'cancelled',
  PAID_AFTER_CANCELLATION: 'cancelled',
  CHANGED_AFTER_CANCELLATION: 'cancelled',
  PAID: 'kept',
  PAID_LATE: 'kept',
  REOPENED: 'kept',
  KEPT: 'kept',
  KEPT_UNPAID: 'kept',
  NO_LONGER_UNPAID: 'kept',
  WITHDRAWN: 'kept',
  WAITING: 'waiting',
  CLOCKS_DIFFER: 'waiting',
  DUE: 'overdue',
  OVERDUE: 'overdue',
  BRAKE_ENGAGED: 'overdue',
  BRAKE_UNKNOWN: 'overdue',
  DRY_RUN: 'overdue',
  QUEUE_PAUSED: 'overdue',
  LOCKED: 'overdue',
  REJECTED: 'overdue',
  UNDECIDED: 'overdue',
  STORE_FAILED: 'overdue',
  CHECK_GIVEN_UP: 'given-up',
  BACKLOG: 'set-aside',
  UNREADABLE_DEADLINE: 'set-aside',
  NO_DEADLINE: 'set-aside',
  MISSING: 'missing',
  UNKNOWN: 'unknown',
} as const

export type VerdictCode = keyof typeof OUTCOMES
export type VerdictOutcome = (typeof OUTCOMES)[VerdictCode]
export const VERDICT_CODES = Object.keys(OUTCOMES) as VerdictCode[]
export const VERDICT_OUTCOMES = [...new Set(Object.values(OUTCOMES))]

/** Why an order was cancelled, or was not. */
export interface Answer {
  code: VerdictCode
  /** In a sentence or two. */
  text: string
  /** What to do next, if there is anything. */
  next?: string | undefined
  /** When, in ISO 8601 by the order store's clock, and which process, as `host:pid`, where it is known. */
  decidedAt?: string | undefined
  decidedBy?: string | undefined
  /** From the deadline to the decision or the payment or, while there is none, to now. */
  lateMs?: number | undefined
}
