import { asOrderExpiryError, blameOf, OrderExpiryError } from '../errors.ts'
import type { OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'

/** How long the newest payment read still counts as the newest: a share of the silence, but at most this. */
const FRESH_SHARE = 0.05
const FRESH_MAX_MS = 60_000

/** Whether payments have been absent for too long while orders fall due. */
export class PaymentSilence {
  readonly #options: { store: Pick<OrderStore, 'newestPayment'>; silenceMs: number; clock: Clock }
  /** When, by the store's clock, the first order fell due here: silence is counted from then on. */
  #watchingSince: number | undefined
  #newest: { value: number | undefined; readAt: number } | undefined

  constructor(options: { store: Pick<OrderStore, 'newestPayment'>; silenceMs: number; clock: Clock }) {
    this.#options = options
  }

  /** An order has fallen due at an instant by the store's clock. */
  watch(now: number): void {
    this.#watchingSince ??= now
  }

  /** At an instant by the store's clock, at which orders are due. Rejects if the newest payment cannot be read. */
  async isTooLong(now: number): Promise<boolean> {
    const { silenceMs, clock } = this.#options
    this.watch(now)
    const freshMs = Math.min(FRESH_MAX_MS, silenceMs * FRESH_SHARE)
    if (!this.#newest || clock.monotonic() - this.#newest.readAt > freshMs) {
      this.#newest = { value: await this.#read(), readAt: clock.monotonic() }
    }
    return now - (this.#newest.value ?? this.#watchingSince ?? now) > silenceMs
  }

  async #read(): Promise<number | undefined> {
    try {
      return await this.#options.store.newestPayment()
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      // No order of the batch is to blame: no part of it would fare better.
      const code = blameOf(error) === 'lock' ? error.code : 'STORE_UNAVAILABLE'
      const message = `the newest payment cannot be read (BRAKE_PAYMENT_SILENCE): ${error.message}`
      throw new OrderExpiryError(code, message, { cause })
    }
  }
}
