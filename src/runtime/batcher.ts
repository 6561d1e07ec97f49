import type { Clock } from './clock.ts'

interface Waiting<Item, Result> {
  item: Item
  resolve: (result: Result) => void
}

/** How long a batch that is not full may wait for company while others are under way. */
interface Patience {
  ms: number
  clock: Pick<Clock, 'sleep'>
}

/**
 * Gathers single items into batches, as large as the load: whatever is slow gets fewer and larger ones.
 *
 * With patience, an item that meets nothing under way starts at the end of its turn of the event loop. While something is
 * under way, a full batch starts at once beside it, and a smaller one when one of those under way ends or its patience does,
 * so that a slow batch does not hold up those behind it.
 *
 * Without patience, nothing waits for company: an item that meets nothing under way starts before {@link add} returns, and
 * what is added meanwhile starts together as soon as that code, and what it has set going, is through.
 */
export class Batcher<Item, Result> {
  readonly #run: (items: Item[]) => Promise<Result[]>
  readonly #maxBatch: number
  readonly #maxInFlight: number
  readonly #patience: Patience | undefined
  readonly #waiting: Waiting<Item, Result>[] = []
  #inFlight = 0
  #isFlushing = false
  #sleep: AbortController | undefined

  /** @param options.run gives one result for each item, in their order, and never rejects */
  constructor(options: {
    run: (items: Item[]) => Promise<Result[]>
    maxBatch: number
    maxInFlight: number
    patience?: Patience
  }) {
    this.#run = options.run
    this.#maxBatch = options.maxBatch
    this.#maxInFlight = options.maxInFlight
    this.#patience = options.patience
  }

  /** Whether nothing waits and nothing is under way. */
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#inFlight === 0
  }

  /** Resolves with the item's own result. Never rejects. */
  add(item: Item): Promise<Result> {
    const result = new Promise<Result>((resolve) => {
      this.#waiting.push({ item, resolve })
    })
    if (this.#inFlight === 0 && !this.#patience) this.#start()
    else this.#flushSoon()
    return result
  }

  /** Once all that arrives together is there. */
  #flushSoon(): void {
    if (this.#isFlushing || this.#inFlight >= this.#maxInFlight) return
    this.#isFlushing = true
    const flush = () => {
      this.#isFlushing = false
      this.#flush()
    }
    if (this.#patience) setImmediate(flush)
    else process.nextTick(flush)
  }

  /** Starts what may start. Those behind the last batch begin a patience of their own. */
  #flush(options: { isOverdue?: boolean } = {}): void {
    let { isOverdue = false } = options
    while (this.#waiting.length > 0 && this.#inFlight < this.#maxInFlight) {
      if (this.#patience && this.#inFlight > 0 && this.#waiting.length < this.#maxBatch && !isOverdue) {
        this.#bePatient(this.#patience)
        return
      }
      isOverdue = false
      this.#start()
    }
  }

  #start(): void {
    this.#sleep?.abort()
    this.#inFlight++
    const batch = this.#waiting.splice(0, this.#maxBatch)
    void this.#run(batch.map(({ item }) => item)).then((results) => {
      this.#inFlight--
      batch.forEach(({ resolve }, index) => {
        resolve(results[index] as Result)
      })
      if (this.#patience) this.#flush({ isOverdue: true })
      else if (this.#waiting.length > 0) this.#flushSoon()
    })
  }

  #bePatient({ ms, clock }: Patience): void {
    if (this.#sleep) return
    const sleep = new AbortController()
    this.#sleep = sleep
    const resume = (isOverdue: boolean) => {
      this.#sleep = undefined
      this.#flush({ isOverdue })
    }
    void clock.sleep(ms, sleep.signal).then(
      () => resume(true),
      () => resume(false), // a batch has started meanwhile
    )
  }
}

/**
 * Runs a list in batches of the same kind. Waiting for their ends leaves room for whatever else the process does.
 *
 * @returns one result for each item, in their order; rejects with the first error, and begins nothing behind it
 */
export async function runInBatches<Item, Result>(options: {
  items: readonly Item[]
  run: (items: Item[]) => Promise<Result[]>
  maxBatch: number
  maxInFlight: number
}): Promise<Result[]> {
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
