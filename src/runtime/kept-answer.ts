import type { Clock } from './clock.ts'

/** What all who ask share: it is sought once at a time, and kept for a while afterwards, a failure too. */
export class KeptAnswer<Value> {
  readonly #seek: () => Promise<Value>
  readonly #forMs: number
  readonly #clock: Clock
  #answer: Promise<Value> | undefined
  #until = Number.NEGATIVE_INFINITY

  constructor(options: { seek: () => Promise<Value>; forMs: number; clock: Clock }) {
    this.#seek = options.seek
    this.#forMs = options.forMs
    this.#clock = options.clock
  }

  read(): Promise<Value> {
    if (this.#answer && this.#clock.monotonic() < this.#until) return this.#answer
    const answer = this.#seek()
    const keep = () => {
      this.#until = this.#clock.monotonic() + this.#forMs
    }
    this.#until = Number.POSITIVE_INFINITY
    this.#answer = answer
    answer.then(keep, keep)
    return answer
  }
}
