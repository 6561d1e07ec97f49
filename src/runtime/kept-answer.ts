import type { Clock } from './clock.ts'

/**
 * What all who ask share: it is sought once at a time, and kept for a while afterwards, a failure too. While it is sought
 * anew, that of before is given for as long again, so that many who ask do not pile up.
 */
export class KeptAnswer<Value> {
  readonly #seek: () => Promise<Value>
  readonly #forMs: number
  readonly #clock: Clock
  #kept: Promise<Value> | undefined
  #keptAt = 0
  #sought: Promise<Value> | undefined

  constructor(options: { seek: () => Promise<Value>; forMs: number; clock: Clock }) {
    this.#seek = options.seek
    this.#forMs = options.forMs
    this.#clock = options.clock
  }

  read(): Promise<Value> {
    const ageMs = this.#clock.monotonic() - this.#keptAt
    if (this.#kept && ageMs < this.#forMs) return this.#kept
    const sought = this.#sought ?? this.#seekAnew()
    return this.#kept && ageMs < 2 * this.#forMs ? this.#kept : sought
  }

  #seekAnew(): Promise<Value> {
    const sought = this.#seek()
    const keep = () => {
      this.#kept = sought
      this.#keptAt = this.#clock.monotonic()
      this.#sought = undefined
    }
    this.#sought = sought
    sought.then(keep, keep)
    return sought
  }
}
