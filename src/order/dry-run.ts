import type { Check, Outcome } from './order.ts'
import type { OrderStore } from './store.ts'

/** How long an order is left alone that a dry run would have cancelled. */
const AGAIN_MS = 60_000
/** Orders that are remembered as reported. */
const REMEMBERED = 100_000

/**
 * Decides as ever, but cancels nothing: what would have been cancelled is postponed with reason `dry-run`, again and again, so
 * that it is cancelled once the dry run is over. Each such order is reported once by each process.
 */
export class DryRun {
  readonly #store: OrderStore
  readonly #onWouldCancel: (orderId: string) => void
  readonly #reported = new Set<string>()

  constructor(options: { store: OrderStore; onWouldCancel: (orderId: string) => void }) {
    this.#store = options.store
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
    if (this.#reported.has(orderId)) return
    for (const oldest of this.#reported) {
      if (this.#reported.size < REMEMBERED) break
      this.#reported.delete(oldest)
    }
    this.#reported.add(orderId)
    this.#onWouldCancel(orderId)
  }
}
