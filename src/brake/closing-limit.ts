import type { Clock } from '../runtime/clock.ts'

/** An order whose payment was to be closed counts for so long, unless it is cancelled before. */
const COUNTED_MS = 60_000

/** Keeps payments from being closed of more orders than may then be cancelled. Each process counts its own. */
export class ClosingLimit {
  readonly #clock: Pick<Clock, 'monotonic'>
  /** Orders that are not cancelled yet, by when they were admitted first. */
  readonly #admitted = new Map<string, number>()

  constructor({ clock }: { clock: Pick<Clock, 'monotonic'> }) {
    this.#clock = clock
  }

  /**
   * @param room orders that may still be cancelled in this minute
   * @returns those that are admitted, now or within the minute
   */
  admit(ids: ReadonlySet<string>, room: number): Set<string> {
    const now = this.#clock.monotonic()
    for (const [id, at] of this.#admitted) {
      if (now - at < COUNTED_MS) break
      this.#admitted.delete(id)
    }
    for (const id of ids) {
      if (this.#admitted.size >= room) break
      if (!this.#admitted.has(id)) this.#admitted.set(id, now)
    }
    return new Set([...ids].filter((id) => this.#admitted.has(id)))
  }

  /** The order was cancelled, or need not be. */
  forget(orderId: string): void {
    this.#admitted.delete(orderId)
  }
}
