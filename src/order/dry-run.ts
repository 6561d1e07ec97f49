import type { Check, Outcome } from './order.ts'
import type { OrderStore } from './store.ts'

/** How long an order is left alone that a dry run would have cancelled. */
const AGAIN_MS = 60_000
/** Orders that are remembered as reported, and so reported at most. */
const REMEMBERED = 100_000

/**
 * Decides as ever, but cancels nothing: what would have been cancelled is postponed with reason `dry-run`, again and again, so
 * that it is cancelled once the dry run is over. Each such order is reported once by each process, until it has reported
 * as many as it remembers: with older ones forgotten, it would report the same orders for ever.
 */
export class DryRun {
  readonly #store: OrderStore
  readonly #onWouldCancel: (orderId: string) => void
  readonly #onFull: (orders: number) => void
  readonly #remembered: number
  readonly #reported = new Set<string>()
  #isFull = false

  /** @param options.onFull it has reported so many orders, and from now on reports no other; called once */
  constructor(options: {
    store: OrderStore
    remembered?: number
    onWouldCancel: (orderId: string) => void
    onFull: (orders: number) => void
  }) {
    this.#store = options.store
    this.#remembered = options.remembered ?? REMEMBERED
    this.#onFull = options.onFull
    this.#onWouldCancel = options.onWouldCancel
  }

  /** {@link OrderStore.cancelUnpaid} that changes nothing. */
  async cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> {
    const outcomes = await this.#store.cancelUnpaid(checks, { dryRun: true })
    return outcomes.map((outcome, index) => {
      if (outcome.kind !== 'cancelled') return outcome
      this.#report((checks[index] as Check).orderId)
      const { evidence } = outcome
      return { kind: 'postponed', until: evidence.decidedAt + AGAIN_MS, reason: 'dry-run', evidence }
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
