import type { Clock } from '../runtime/clock.ts'

/**
 * How often what was read is read again: there may be events whose transactions have ended late. None ends later than
 * that; what is further back is left out, since delivered events can be slow to pass over while somebody's transaction stays open.
 */
const AGAIN_EVERY_MS = 5_000
const LATEST_MS = 60_000
/** None at all, or nearly: a commit may wait for a standby for as long as it likes. */
const WHOLE_EVERY_MS = 600_000

/** Up to where a process has read the outbox. Positions are not in the order of commits, so it goes back now and then. */
export class Cursor {
  readonly #clock: Clock
  /** Undefined: the beginning. */
  #position: string | undefined
  /** Where it was, and when, oldest first. */
  #marks: { position: string | undefined; at: number }[] = []
  #againAt = 0
  #wholeAt = 0

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** After which position the next page begins; undefined: at the beginning. */
  next(): string | undefined {
    const now = this.#clock.monotonic()
    if (now >= this.#wholeAt) {
      this.#wholeAt = now + WHOLE_EVERY_MS
      this.#againAt = now + AGAIN_EVERY_MS
      this.reset()
    } else if (now >= this.#againAt) this.#goBack(now)
    return this.#position
  }

  moveTo(position: string | undefined): void {
    this.#position = position
  }

  reset(): void {
    this.#position = undefined
    this.#marks = []
  }

  #goBack(now: number): void {
    this.#againAt = now + AGAIN_EVERY_MS
    this.#marks.push({ position: this.#position, at: now })
    const last = this.#marks.findLastIndex(({ at }) => at <= now - LATEST_MS)
    this.#marks.splice(0, last)
    this.#position = last === -1 ? undefined : this.#marks[0]?.position
  }
}
