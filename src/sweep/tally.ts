import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import type { LeftOverdue } from '../observe/events.ts'
import { isOutage, nameOfOutcome, type Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'

/** What a sweep has found of the overdue orders, what became of them, and what went wrong. */
export class Tally {
  overdue = 0
  /** Undecided orders that had no check and were given one. */
  handedOver = 0
  /** Whether undecided orders could not be given a check. */
  isWantedSoon = false
  readonly #outcomes: Record<string, number> = {}
  #failed: { orderId: string; error: OrderExpiryError } | undefined
  #error: OrderExpiryError | undefined
  #left = 0
  #oldest: (DueOrder & { why: string }) | undefined

  add(order: DueOrder, settlement: Settlement): void {
    const outcome = nameOfOutcome(settlement)
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1
    if (settlement.kind === 'failed') {
      const { error } = settlement
      this.#failed ??= { orderId: order.orderId, error }
      if (isOutage(error)) this.#error ??= error
      this.leave(order, error.code)
    }
    // An order that is not due any more has a new deadline.
    if (settlement.kind === 'postponed' && settlement.reason !== 'not-due') this.leave(order, settlement.reason)
  }

  /** Counts an order that stays unpaid past its deadline. */
  leave(order: DueOrder, why: string): void {
    this.#left++
    if (!this.#oldest || order.deadline < this.#oldest.deadline) this.#oldest = { ...order, why }
  }

  /** @param signal of the sweep: what goes wrong once it has been asked to stop is no error */
  note(error: unknown, signal: AbortSignal): void {
    if (error !== undefined && !signal.aborted) this.#error ??= asOrderExpiryError(error)
  }

  /** The orders left unpaid. @param now by the store's clock */
  left(now: number): LeftOverdue {
    const oldest = this.#oldest && { ...this.#oldest, lateMs: now - this.#oldest.deadline }
    return { orders: this.#left, ...(oldest && { oldest }) }
  }

  /** All but the orders left unpaid; without what is not there. */
  result() {
    const { overdue, handedOver, isWantedSoon } = this
    return {
      overdue,
      outcomes: this.#outcomes,
      ...(handedOver > 0 && { handedOver }),
      ...(isWantedSoon && { isWantedSoon }),
      ...(this.#failed && { failed: this.#failed }),
      ...(this.#error && { error: this.#error }),
    }
  }
}

export function isHeld(settlement: Settlement): boolean {
  return settlement.kind === 'postponed' && settlement.reason === 'brake'
}

export function hasMetOutage(settlement: Settlement): boolean {
  return settlement.kind === 'failed' && isOutage(settlement.error)
}
