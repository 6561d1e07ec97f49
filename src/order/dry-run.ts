import { type Check, type Evidence, isPayable, type Outcome } from './order.ts'
import type { OrderStore } from './store.ts'

/** How long a dry run leaves an order alone that it would have cancelled. */
const LEFT_ALONE_MS = 60_000
/** Orders remembered as reported, which is also the most that are reported. */
const ORDERS_REMEMBERED = 100_000

interface DryRunOptions {
  store: OrderStore
  /** Default {@link ORDERS_REMEMBERED}. */
  remembered?: number
  /** @param lateMs from the deadline to the decision, by the order store's clock */
  onWouldCancel: (orderId: string, lateMs: number) => void
  /** It has reported this many orders, and will report no more. */
  onFull: (orders: number) => void
}

/**
 * Decides as usual, but cancels nothing. An order that would have been cancelled is postponed again and again, so that it is
 * cancelled once the dry run is over. Each process reports such an order once, until it has reported as many as it remembers.
 */
export class DryRun {
  readonly #options: DryRunOptions
  /** Undefined once it is full. */
  #reported: Set<string> | undefined = new Set()

  constructor(options: DryRunOptions) {
    this.#options = options
  }

  /** {@link OrderStore.cancelUnpaid}, but changes nothing. */
  async cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> {
    const outcomes = await this.#options.store.cancelUnpaid(checks, { dryRun: true })
    return outcomes.map((outcome, index) => {
      if (outcome.kind !== 'cancelled' && !isPayable(outcome)) return outcome
      const { evidence } = outcome
      this.#report(checks[index] as Check, evidence)
      return { kind: 'postponed', until: evidence.decidedAt + LEFT_ALONE_MS, reason: 'dry-run', evidence }
    })
  }

  #report({ orderId, deadline }: Check, evidence: Evidence): void {
    const { remembered = ORDERS_REMEMBERED, onWouldCancel, onFull } = this.#options
    if (!this.#reported || this.#reported.has(orderId)) return
    if (this.#reported.size >= remembered) {
      onFull(this.#reported.size)
      this.#reported = undefined
      return
    }
    this.#reported.add(orderId)
    onWouldCancel(orderId, evidence.decidedAt - (evidence.deadline ?? deadline))
  }
}
