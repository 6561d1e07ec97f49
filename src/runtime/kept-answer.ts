import type { Clock } from './clock.ts'

/**
 * What all who ask share: it is sought once at a time, and kept for a while afterwards, a failure too. While it is sought
 * anew, that of before is given for as long again, so that many who ask do not pile up.
 */
export class KeptAnswer<Value> {
  readonly #options: { seek: () => Promise<Value>; forMs: number; clock: Clock }
  #kept: Promise<Value> | undefined
  #keptAt = 0
  #sought: Promise<Value> | undefined

  constructor(options: { seek: () => Promise<Value>; forMs: number; clock: Clock }) {
    this.#options = options
  }

  read(): Promise<Value> {
    const { forMs, clock } = this.#options
    const ageMs = clock.monotonic() - this.#keptAt
    if (this.#kept && ageMs < forMs) return this.#kept
    const sought = this.#sought ?? this.#seekAnew()
    return this.#kept && ageMs < 2 * forMs ? this.#kept : sought
  }

  #seekAnew(): Promise<Value> {
    const sought = this.#options.seek()
    const keep = () => {
      this.#kept = sought
      this.#keptAt = this.#options.clock.monotonic()
      this.#sought = undefined
    }
    this.#sought = sought
    sought.then(keep, keep)
    return sought
  }
}
