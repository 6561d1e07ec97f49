import type { LeftOverdue } from '../observe/events.ts'
import type { Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'

/** Counts the overdue orders that a sweep does not settle, and keeps the oldest of them. */
export class LeftOrders {
  #orders = 0
  #oldest: (DueOrder & { why: string }) | undefined

  add(order: DueOrder, why: string): void {
    this.#orders++
    if (!this.#oldest || order.deadline < this.#oldest.deadline) this.#oldest = { ...order, why }
  }

  /** @param now by the store's clock */
  asOf(now: number): LeftOverdue {
    const oldest = this.#oldest && { ...this.#oldest, lateMs: now - this.#oldest.deadline }
    return { orders: this.#orders, ...(oldest && { oldest }) }
  }
}

/** Why an order is left unpaid past its deadline; undefined if it is not. */
export function whyLeft(settlement: Settlement): string | undefined {
  if (settlement.kind === 'failed') return settlement.error.code
  // Somebody has put its deadline off meanwhile.
  return settlement.kind === 'postponed' && settlement.reason !== 'not-due' ? settlement.reason : undefined
}
