import type { Clock } from '../../runtime/clock.ts'

const MOST_REMEMBERED = 10_000
/** What the statement says may rest on other tables, which we do not see. */
const ASKED_AGAIN_AFTER_MS = 3_600_000

/**
 * Unpaid orders that the shop's own statement keeps. Their rows are left out of sweeps for an hour, or until somebody changes
 * them.
 */
export class KeptOrders {
  readonly #clock: Clock
  readonly #orders = new Map<string, { version: string; at: number }>()

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** @param versions what the rows were when the statement kept them, by their ids */
  add(versions: ReadonlyMap<string, string>): void {
    for (const [id, version] of versions) {
      // Were others forgotten instead, none would be left out for long where there are many more than that.
      if (this.#orders.size >= MOST_REMEMBERED && !this.#orders.has(id)) continue
      this.#orders.set(id, { version, at: this.#clock.monotonic() })
    }
  }

  /** The ids, and the rows of the same places, that need not be asked about. */
  leftOut(): [ids: string[], versions: string[]] {
    const now = this.#clock.monotonic()
    for (const [id, { at }] of this.#orders) if (now - at >= ASKED_AGAIN_AFTER_MS) this.#orders.delete(id)
    return [[...this.#orders.keys()], [...this.#orders.values()].map(({ version }) => version)]
  }
}
