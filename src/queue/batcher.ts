/**
 * Gathers single items into batches. An item never waits for company: while a batch can be started, it starts in the
 * same turn of the event loop; what arrives while all are under way leaves together with the next one.
 */
export class Batcher<Item, Result> {
  readonly #run: (items: Item[]) => Promise<Result[]>
  readonly #maxBatch: number
  readonly #maxInFlight: number
  #waiting: { item: Item; resolve: (result: Result) => void }[] = []
  #inFlight = 0
  #flushing = false

  /** @param options.run gives one result for each item, in their order, and never rejects */
  constructor(options: { run: (items: Item[]) => Promise<Result[]>; maxBatch: number; maxInFlight: number }) {
    this.#run = options.run
    this.#maxBatch = options.maxBatch
    this.#maxInFlight = options.maxInFlight
  }

  /** Whether nothing waits and nothing is under way. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#inFlight === 0
  }

  /** Resolves with the item's own result. Never rejects. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve) => {
      this.#waiting.push({ item, resolve })
      if (this.#flushing) return
      this.#flushing = true
      // What was fetched, or asked for, together arrives in one turn of the event loop.
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
      void this.#run(batch.map(({ item }) => item)).then((results) => {
        this.#inFlight--
        for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result)
        this.#flush()
      })
    }
  }
}
