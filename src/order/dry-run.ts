import type { Check, Outcome } from './order.ts'
import type { OrderStore } from './store.ts'

/** How long a dry run leaves an order alone that it would have cancelled. */
const LEFT_ALONE_MS = 60_000
/** Orders remembered as reported, which is also the most that are reported. */
const ORDERS_REMEMBERED = 100_000

/**
 * Decides as usual, but cancels nothing. An order that would have been cancelled is postponed with the reason `dry-run`, again
 * and again, so that it is cancelled once the dry run is over. Each process reports each such order once, until it has
 * reported as many as it remembers: if it forgot the older ones, it would report the same orders for ever.
 */
export class DryRun {
  readonly #store: OrderStore
  readonly #onWouldCancel: (orderId: string) => void
  readonly #onFull: (orders: number) => void
  readonly #remembered: number
  readonly #reported = new Set<string>()
  #isFull = false

  /** @param options.onFull called once, when it has reported this many orders and will report no more */
  constructor(options: {
    store: OrderStore
    remembered?: number
    onWouldCancel: (orderId: string) => void
    onFull: (orders: number) => void
  }) {
    this.#store = options.store
    this.#remembered = options.remembered ?? ORDERS_REMEMBERED
    this.#onFull = options.onFull
    this.#onWouldCancel = options.onWouldCancel
  }

  /** {@link OrderStore.cancelUnpaid}, but changes nothing. */
  async cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> {
    const outcomes = await this.#store.cancelUnpaid(checks, { dryRun: true })
    return outcomes.map((outcome, index) => {
      if (outcome.kind !== 'cancelled') return outcome
      this.#report((checks[index] as Check).orderId)
      const { evidence } = outcome
      return { kind: 'postponed', until: evidence.decidedAt + LEFT_ALONE_MS, reason: 'dry-run', evidence }
    })
  }

  #report(orderId: string): void {
    if (this.#isFull || this.#reported.has(orderId)) return
    if (this.#reported.size >= this.#remembered) {
      this.#isFull = true
      this.#onFull(this.#reported.size)
      this.#reported.clear()
      return
    }
    this.#reported.add(orderId)
    this.#onWouldCancel(orderId)
  }
}
