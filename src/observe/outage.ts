import type { Clock } from '../runtime/clock.ts'
import type { Outage } from './vitals.ts'

/** Remembers since when something cannot be used, from what everybody finds who uses it. */
export class OutageWatch {
  readonly #clock: Clock
  #outage: Outage | undefined

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** Undefined: it worked when it was last used, or has not been used yet. */
  get outage(): Outage | undefined {
    return this.#outage
  }

  /** It failed for this reason or, without one, works. */
  note(error?: Error): void {
    this.#outage = error && { since: this.#outage?.since ?? this.#clock.now(), error }
  }

  /** Does the work, and notes how it ended. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work()
      this.note()
      return result
    } catch (error) {
      this.note(error as Error)
      throw error
    }
  }
}
