import type { Clock } from './clock.ts'

interface Waiting<Item, Result> {
  item: Item
  resolve: (result: Result) => void
}

/**
 * Gathers single items into batches. While nothing is under way an item never waits for company: it starts in the same turn
 * of the event loop. While something is, a full batch starts at once beside it, and a smaller one when one of those under
 * way ends, or after a patience of a few milliseconds, so that a slow batch does not hold up those behind it. So batches are
 * as large as the load, and a store that is slow gets fewer and larger ones.
 */
export class Batcher<Item, Result> {
  readonly #run: (items: Item[]) => Promise<Result[]>
  readonly #maxBatch: number
  readonly #maxInFlight: number
  readonly #patienceMs: number
  readonly #clock: Pick<Clock, 'sleep'>
  #waiting: Waiting<Item, Result>[] = []
  #inFlight = 0
  #flushing = false
  #patience: AbortController | undefined

  /**
   * @param options.run gives one result for each item, in their order, and never rejects
   * @param options.patienceMs how long a batch that is not full waits at most while others are under way
   */
  constructor(options: {
    run: (items: Item[]) => Promise<Result[]>
    maxBatch: number
    maxInFlight: number
    patienceMs: number
    clock: Pick<Clock, 'sleep'>
  }) {
    this.#run = options.run
    this.#maxBatch = options.maxBatch
    this.#maxInFlight = options.maxInFlight
    this.#patienceMs = options.patienceMs
    this.#clock = options.clock
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

  /** Starts what may start. Those behind the last batch begin a patience of their own. */
  #flush(options: { isOverdue?: boolean } = {}): void {
    let { isOverdue = false } = options
    while (this.#waiting.length > 0 && this.#inFlight < this.#maxInFlight) {
      if (this.#inFlight > 0 && this.#waiting.length < this.#maxBatch && !isOverdue) {
        this.#bePatient()
        return
      }
      isOverdue = false
      this.#start(this.#waiting.splice(0, this.#maxBatch))
    }
  }

  #start(batch: Waiting<Item, Result>[]): void {
    this.#patience?.abort()
    this.#inFlight++
    void this.#run(batch.map(({ item }) => item)).then((results) => {
      this.#inFlight--
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result)
      this.#flush({ isOverdue: true })
    })
  }

  #bePatient(): void {
    if (this.#patience) return
    const patience = new AbortController()
    this.#patience = patience
    const goOn = (isOverdue: boolean) => {
      this.#patience = undefined
      this.#flush({ isOverdue })
    }
    void this.#clock.sleep(this.#patienceMs, patience.signal).then(
      () => goOn(true),
      () => goOn(false), // a batch has started meanwhile
    )
  }
}
