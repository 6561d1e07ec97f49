import type { OrderExpiryError } from '../errors.ts'
import type { DeadlineInput } from '../order/deadline.ts'
import type { ReadableOrder } from '../order/order.ts'
import type { FoundCheck } from '../queue/view/check-facts.ts'

export interface ScheduleItem {
  orderId: string | number
  /** Default: the client's `paymentTimeout` from now. */
  deadline?: DeadlineInput
  /** Accept a deadline that has passed by more than a minute. Default false. */
  allowPast?: boolean
  /**
   * Who asks, up to 100 characters, for `explain`. Kept on the job, where it costs its length in memory, and as much as the job
   * itself once that has over 64 bytes of data: beside a UUID, from seven characters on. Default: nobody.
   */
  by?: string
}

export interface ScheduleResult {
  orderId: string
  /**
   * `scheduled`: a check is planned. `unchanged`: it already was, for the same deadline, or by the same time-out, which began
   * with the first call. `conflict`: one is planned for another deadline, and still is; only `reschedule` moves it.
   */
  result: 'scheduled' | 'unchanged' | 'conflict'
  /** The deadline that counts now. */
  deadline: Date
  /**
   * The status of an order recorded here that is no longer unpaid. Scheduling does not change it and plans no check:
   * `unchanged` and `conflict` then only compare the deadlines.
   */
  status?: string
}

/** An order that could not be scheduled. */
export interface Refusal {
  /** As the caller gave it, if it cannot be read. */
  orderId: unknown
  error: OrderExpiryError
}

export interface RescheduleResult {
  orderId: string
  /**
   * `rescheduled`: moved. `unchanged`: it already was at this deadline. `scheduled`: there was no check, now there is.
   * `checking`: its check is under way, and may still cancel it. `settled`: the order is no longer unpaid, `missing`: there
   * is no such order (both for recorded orders only).
   */
  result: 'rescheduled' | 'unchanged' | 'scheduled' | 'checking' | 'settled' | 'missing'
  deadline?: Date
  status?: string
}

export interface WithdrawResult {
  orderId: string
  /** `withdrawn`: it will not be checked. `checking`: its check is under way. `missing`: there was none. `settled`: too late. */
  result: 'withdrawn' | 'checking' | 'missing' | 'settled'
  status?: string
}

export interface FoundOrder {
  orderId: string
  check?: FoundCheck
  /** The record, when this library keeps it. */
  order?: ReadableOrder
}
