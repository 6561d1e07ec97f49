import type { Check } from '../order/order.ts'
import type { Settle, Settlement } from '../order/settle.ts'

/**
 * Gathers single checks into batches. A check never waits for company: while a batch can be started, it starts in the
 * same turn of the event loop; what arrives while all are under way leaves together with the next one.
 */
export class Batcher {
  readonly #settle: Settle
  readonly #maxBatch: number
  readonly #maxInFlight: number
  #waiting: { check: Check; resolve: (settlement: Settlement) => void }[] = []
  #inFlight = 0
  #flushing = false

  constructor(options: { settle: Settle; maxBatch: number; maxInFlight: number }) {
    this.#settle = options.settle
    this.#maxBatch = options.maxBatch
    this.#maxInFlight = options.maxInFlight
  }

  /** Resolves with what became of the check. Never rejects. */
  add(check: Check): Promise<Settlement> {
    return new Promise((resolve) => {
      this.#waiting.push({ check, resolve })
      if (this.#flushing) return
      this.#flushing = true
      // The jobs that were fetched together arrive in one turn of the event loop.
      setImmediate(() => {
        this.#flushing = false
        this.#flush()
      })
    })
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#inFlight < this.#maxInFlight) {
      const batch = this.#waiting.splice(0, this.#maxBatch)
      this.#inFlight++
      void this.#settle(batch.map(({ check }) => check)).then((settlements) => {
        this.#inFlight--
        for (const [index, { resolve }] of batch.entries()) resolve(settlements[index] as Settlement)
        this.#flush()
      })
    }
  }
}
