interface BatchOptions<Item, Result> {
  /** Gives one result for each item, in their order. */
  run: (items: Item[]) => Promise<Result[]>
  maxBatch: number
  maxInFlight: number
}

/**
 * Gathers single items into batches, as large as the load: whatever is slow gets fewer and larger ones. An item that meets nothing
 * under way starts before {@link add} returns, and what is added meanwhile starts together as soon as that code, and the
 * microtasks it queued, have run.
 */
export class Batcher<Item, Result> {
  readonly #options: BatchOptions<Item, Result>
  readonly #waiting: { item: Item; resolve: (result: Result) => void }[] = []
  #inFlight = 0
  #isFlushing = false

  /** @param options.run never rejects */
  constructor(options: BatchOptions<Item, Result>) {
    this.#options = options
  }

  /** Resolves with the item's own result. Never rejects. */
  add(item: Item): Promise<Result> {
    const result = new Promise<Result>((resolve) => {
      this.#waiting.push({ item, resolve })
    })
    if (this.#inFlight === 0) this.#start()
    else this.#flushSoon()
    return result
  }

  /** Once everything that arrives together is there. */
  #flushSoon(): void {
    const { maxInFlight } = this.#options
    if (this.#isFlushing || this.#inFlight >= maxInFlight) return
    this.#isFlushing = true
    process.nextTick(() => {
      this.#isFlushing = false
      while (this.#waiting.length > 0 && this.#inFlight < maxInFlight) this.#start()
    })
  }

  #start(): void {
    this.#inFlight++
    const batch = this.#waiting.splice(0, this.#options.maxBatch)
    void this.#options.run(batch.map(({ item }) => item)).then((results) => {
      this.#inFlight--
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result)
      if (this.#waiting.length > 0) this.#flushSoon()
    })
  }
}

/** The results of a list run in batches, in its order. Rejects with the first error, and begins nothing after it. */
export async function runInBatches<Item, Result>(
  options: BatchOptions<Item, Result> & { items: readonly Item[] },
): Promise<Result[]> {
  const { items, run, maxBatch, maxInFlight } = options
  const results: Result[] = new Array(items.length)
  let next = 0
  const runSome = async () => {
    while (next < items.length) {
      const start = next
      next += maxBatch
      try {
        for (const [index, result] of (await run(items.slice(start, next))).entries()) results[start + index] = result
      } catch (error) {
        next = items.length
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: maxInFlight }, runSome))
  return results
}
