import type { Clock } from './clock.ts'

/** An answer stays fresh this many times as long as it took to find. */
const FRESH_TIMES = 20
/** Nobody is kept waiting for a read that takes longer. */
const SLOW_READ_MS = 500

/** A read that all who ask share: it takes no more than a twentieth of the time of what is read. */
export class SeldomRead<Value> {
  readonly #options: ConstructorParameters<typeof SeldomRead<Value>>[0]
  #known: { value: Value; at: number; freshMs: number; isSlow: boolean } | undefined
  #reading: Promise<Value> | undefined

  /**
   * @param options.freshForMs how long an answer stays fresh at least
   * @param options.freshTimes and how many times as long as it took to find; 0: no longer. Default 20
   */
  constructor(options: { look: () => Promise<Value>; freshForMs: number; freshTimes?: number; clock: Clock }) {
    this.#options = options
  }

  /** What was found, and how long ago. Rejects as the read itself does; the next who asks has it read again. */
  async read(): Promise<{ value: Value; ageMs: number }> {
    const known = this.#known
    const ageMs = known ? this.#options.clock.monotonic() - known.at : 0
    if (known && ageMs < known.freshMs) return { value: known.value, ageMs }
    this.#reading ??= this.#lookNow().finally(() => {
      this.#reading = undefined
    })
    // It is slow but answers.
    if (known?.isSlow && ageMs < 2 * known.freshMs) {
      this.#reading.catch(() => {})
      return { value: known.value, ageMs }
    }
    return { value: await this.#reading, ageMs: 0 }
  }

  async #lookNow(): Promise<Value> {
    const { look, freshForMs, freshTimes = FRESH_TIMES, clock } = this.#options
    const startedAt = clock.monotonic()
    const value = await look()
    const at = clock.monotonic()
    const tookMs = at - startedAt
    const freshMs = Math.max(freshForMs, freshTimes * tookMs)
    this.#known = { value, at, freshMs, isSlow: tookMs > SLOW_READ_MS }
    return value
  }
}
