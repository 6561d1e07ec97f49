const MOST_REJECTED = 100_000

/** What one sweep leaves behind for the next one of the same process. */
export class SweepMemory {
  /** Of an order that the store has told of: a place to begin a page at needs an id of the store's own kind. */
  seenId: string | undefined
  readonly #rejected = new Set<string>()
  readonly #mostRejected: number

  /** @param options.mostRejected orders that are remembered at most; those beyond are tried in each sweep */
  constructor(options: { mostRejected?: number } = {}) {
    this.#mostRejected = options.mostRejected ?? MOST_REJECTED
  }

  /** Whether the store has rejected the order the last time that it was tried. */
  isRejected(orderId: string): boolean {
    return this.#rejected.has(orderId)
  }

  reject(orderId: string): void {
    if (this.#rejected.size < this.#mostRejected) this.#rejected.add(orderId)
  }

  /** The order is tried with the others again. */
  forget(orderId: string): void {
    this.#rejected.delete(orderId)
  }

  /** Forgets the rejected orders that are not among these: they are not overdue any more. */
  keepOnly(met: ReadonlySet<string>): void {
    for (const orderId of this.#rejected) if (!met.has(orderId)) this.#rejected.delete(orderId)
  }
}
