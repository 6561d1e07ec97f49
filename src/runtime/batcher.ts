import type { Clock } from './clock.ts'

/** How long a batch that is not full may wait for company while others are under way. */
interface Patience {
  ms: number
  clock: Pick<Clock, 'sleep'>
}

interface BatchOptions<Item, Result> {
  /** Gives one result for each item, in their order. */
  run: (items: Item[]) => Promise<Result[]>
  maxBatch: number
  maxInFlight: number
}

/**
 * Gathers single items into batches, as large as the load: whatever is slow gets fewer and larger ones.
 *
 * With patience, an item that meets nothing under way starts at the end of its turn of the event loop. While something is
 * under way, a full batch starts at once beside it, and a smaller one when one of those under way ends or its patience does.
 *
 * Without patience, an item that meets nothing under way starts before {@link add} returns, and what is added meanwhile
 * starts together as soon as that code, and the microtasks it queued, have run.
 */
export class Batcher<Item, Result> {
  readonly #options: BatchOptions<Item, Result>
  readonly #patience: Patience | undefined
  readonly #waiting: { item: Item; resolve: (result: Result) => void }[] = []
  #inFlight = 0
  #isFlushing = false
  #sleep: AbortController | undefined

  /** @param options.run never rejects */
  constructor(options: BatchOptions<Item, Result> & { patience?: Patience }) {
    this.#options = options
    this.#patience = options.patience
  }

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

  /** Once everything that arrives together is there. */
  #flushSoon(): void {
    if (this.#isFlushing || this.#inFlight >= this.#options.maxInFlight) return
    this.#isFlushing = true
    const flush = () => {
      this.#isFlushing = false
      this.#flush()
    }
    if (this.#patience) setImmediate(flush)
    else process.nextTick(flush)
  }

  /** Starts what may start. Items left after the last batch get a patience of their own. */
  #flush(options: { isOverdue?: boolean } = {}): void {
    const { maxBatch, maxInFlight } = this.#options
    let { isOverdue = false } = options
    while (this.#waiting.length > 0 && this.#inFlight < maxInFlight) {
      if (this.#patience && this.#inFlight > 0 && this.#waiting.length < maxBatch && !isOverdue) {
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
    const batch = this.#waiting.splice(0, this.#options.maxBatch)
    void this.#options.run(batch.map(({ item }) => item)).then((results) => {
      this.#inFlight--
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result)
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
