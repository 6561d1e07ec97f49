import type { Clock } from '../../runtime/clock.ts'

const MOST_REMEMBERED = 10_000
/** What the statement says may rest on other tables, which we do not see. */
const ASKED_AGAIN_AFTER_MS = 3_600_000
/** One that is not kept again in this time is settled, or gone. */
const FORGOTTEN_AFTER_MS = 2 * ASKED_AGAIN_AFTER_MS

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
      const known = this.#orders.get(id)
      // Were others forgotten instead, none would ever be met twice where there are many more than that.
      if (!known && this.#orders.size >= MOST_REMEMBERED) continue
      this.#orders.set(id, { version, isSure: known?.version === version, at: this.#clock.monotonic() })
    }
  }

  /** The ids, and the rows of the same places, that need not be asked about. */
  leftOut(): [ids: string[], versions: string[]] {
    const now = this.#clock.monotonic()
    const ids: string[] = []
    const versions: string[] = []
    for (const [id, { version, isSure, at }] of this.#orders) {
      if (now - at >= FORGOTTEN_AFTER_MS) this.#orders.delete(id)
      else if (isSure && now - at < ASKED_AGAIN_AFTER_MS) {
        ids.push(id)
        versions.push(version)
      }
    }
    return [ids, versions]
  }
}
