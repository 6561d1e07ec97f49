import { asOrderExpiryError } from '../errors.ts'
import type { Events, LeftOverdue } from '../observe/events.ts'
import { isOutage, nameOfOutcome, type Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'

/** What one sweep has found and done. */
export interface SweepResult extends Omit<Events['sweep-finished'], 'tookMs'> {
  outcomes: Record<string, number>
  /** Where to go on with the orders that fall due soon, if the sweep has not reached their end. */
  next?: DueOrder
  /** Undecided orders could not be given a check: another sweep is wanted soon. */
  isWantedSoon?: boolean
}

/** Adds up what a sweep finds. */
export class Tally {
  readonly result: SweepResult = { overdue: 0, outcomes: {}, upcoming: 0, added: 0 }
  readonly #signal: AbortSignal
  #left = 0
  #oldest: (DueOrder & { why: string }) | undefined

  /** @param options.signal of the sweep: what goes wrong once it has been asked to stop is no error */
  constructor(options: { signal: AbortSignal }) {
    this.#signal = options.signal
  }

  add(order: DueOrder, settlement: Settlement): void {
    const { result } = this
    const outcome = nameOfOutcome(settlement)
    result.outcomes[outcome] = (result.outcomes[outcome] ?? 0) + 1
    if (settlement.kind === 'failed') {
      const { error } = settlement
      result.failed ??= { orderId: order.orderId, error }
      if (isOutage(error)) result.error ??= error
    }
    const why = whyUnsettled(settlement)
    // An order that is no longer due has a new deadline.
    if (why && why !== 'not-due') this.leave(order, why)
  }

  /** Counts an order that stays unpaid past its deadline. */
  leave(order: DueOrder, why: string): void {
    this.#left++
    if (!this.#oldest || order.deadline < this.#oldest.deadline) this.#oldest = { ...order, why }
  }

  /** Counts orders that were left behind before, with their reasons by id. */
  leaveBehind(orders: readonly DueOrder[], reasons: ReadonlyMap<string, string>): void {
    for (const order of orders) this.leave(order, reasons.get(order.orderId) as string)
  }

  note(error: unknown): this {
    if (!this.#signal.aborted) this.result.error ??= asOrderExpiryError(error)
    return this
  }

  /** The orders left unpaid. @param now by the store's clock */
  left(now: number): LeftOverdue {
    const oldest = this.#oldest && { ...this.#oldest, lateMs: now - this.#oldest.deadline }
    return { orders: this.#left, ...(oldest && { oldest }) }
  }
}

/** The reason of a postponement, or the code of an error; empty if the order is settled. */
export function whyUnsettled(settlement: Settlement): string {
  if (settlement.kind === 'failed') return settlement.error.code
  return settlement.kind === 'postponed' ? settlement.reason : ''
}

export function isHeld(settlement: Settlement): boolean {
  return settlement.kind === 'postponed' && settlement.reason === 'brake'
}

export function hasMetOutage(settlement: Settlement): boolean {
  return settlement.kind === 'failed' && isOutage(settlement.error)
}
