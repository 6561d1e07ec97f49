import type { Clock } from '../../runtime/clock.ts'

const MOST_REMEMBERED = 10_000
/** What the statement says may rest on other tables, which we do not see. */
const ASKED_AGAIN_AFTER_MS = 3_600_000

/**
 * Unpaid orders that the shop's own statement keeps. Their rows are left out of sweeps for an hour, or until somebody changes them.
 *
 * Somebody may have changed a row between the statement's look at it and ours. So an order counts from the second time on, if its
 * row is what it was the first time: then the statement has seen just that.
 */
export class KeptOrders {
  readonly #clock: Clock
  readonly #orders = new Map<string, { version: string; isSure: boolean; at: number }>()

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** @param rows of orders that the statement has just kept: their ids, and what the rows were right afterwards */
  add(rows: readonly { id: string; version: string }[]): void {
    for (const { id, version } of rows) {
      const isSure = this.#orders.get(id)?.version === version
      this.#orders.delete(id)
      this.#orders.set(id, { version, isSure, at: this.#clock.monotonic() })
    }
    for (const id of this.#orders.keys()) {
      if (this.#orders.size <= MOST_REMEMBERED) break
      this.#orders.delete(id)
    }
  }

  /** The ids, and the rows of the same places, that need not be asked about. */
  leftOut(): [ids: string[], versions: string[]] {
    const since = this.#clock.monotonic() - ASKED_AGAIN_AFTER_MS
    const sure = [...this.#orders].filter(([, { isSure, at }]) => isSure && at > since)
    return [sure.map(([id]) => id), sure.map(([, { version }]) => version)]
  }
}
