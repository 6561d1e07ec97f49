const MOST_REJECTED = 100_000

/** What a sweep leaves behind for the next one of the same process. */
export class SweepMemory {
  /** The id of an order that the store has named: a page can only begin at an id of the store's own kind. */
  seenId: string | undefined
  readonly #rejected = new Set<string>()
  readonly #mostRejected: number

  /** @param options.mostRejected orders that are remembered; those beyond are tried in every sweep */
  constructor(options: { mostRejected?: number } = {}) {
    this.#mostRejected = options.mostRejected ?? MOST_REJECTED
  }

  /** Whether the store rejected the order when it was last tried. */
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
