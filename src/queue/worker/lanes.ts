import { OrderExpiryError } from '../../errors.ts'
import type { Check } from '../../order/order.ts'
import type { Settle, Settlement } from '../../order/settle.ts'
import { Batcher } from '../../runtime/batcher.ts'
import type { Clock } from '../../runtime/clock.ts'

/** About as long as a statement takes: a check that has just come waits no longer, and batches get larger. */
const BATCH_PATIENCE_MS = 5
/** Orders left behind have this share of the worker's slots, and at most twice as many. */
const SHARE_LEFT_BEHIND = 0.25
/** The longest pause before a fetch while they have their share: it may bring another one of them, or a good order. */
const LONGEST_PAUSE_MS = 50

/**
 * Settles checks in batches, in two lanes. Those whose orders were left behind, locked or rejected, keep to one connection and
 * to batches of their own, so that what stops them does not hold up good orders.
 */
export class Lanes {
  readonly #first: Batcher<Check, Settlement>
  readonly #leftBehind: Batcher<Check, Settlement>
  readonly #room: number
  readonly #clock: Clock
  #numLeftBehind = 0
  #pauses = new AbortController()

  /** @param options.maxBatches of good orders in flight at once */
  constructor(options: { settle: Settle; concurrency: number; batchSize: number; maxBatches: number; clock: Clock }) {
    const { settle: run, concurrency, batchSize: maxBatch, maxBatches: maxInFlight, clock } = options
    const patience = { ms: BATCH_PATIENCE_MS, clock }
    this.#clock = clock
    this.#room = Math.ceil(concurrency * SHARE_LEFT_BEHIND)
    this.#first = new Batcher({ run, maxBatch, maxInFlight, patience })
    this.#leftBehind = new Batcher({ run, maxBatch: Math.min(maxBatch, this.#room), maxInFlight: 1, patience })
  }

  get isIdle(): boolean {
    return this.#first.isIdle && this.#leftBehind.isIdle
  }

  /** Orders left behind have as many slots as they may have. */
  get isCrowded(): boolean {
    return this.#numLeftBehind >= this.#room
  }

  /** Resolves with the check's own settlement; undecided if there are too many left behind. Never rejects. */
  async add(check: Check, { isLeftBehind }: { isLeftBehind: boolean }): Promise<Settlement> {
    if (!isLeftBehind) return this.#first.add(check)
    if (this.#numLeftBehind >= 2 * this.#room) return { kind: 'failed', error: noRoom() }
    this.#numLeftBehind++
    const settlement = await this.#leftBehind.add(check)
    this.#numLeftBehind--
    if (!this.isCrowded) this.#endPauses()
    return settlement
  }

  /**
   * Resolves when a fetch is due: at once, or with a little patience while orders left behind are crowded. Redis does not give
   * only good orders, so they are fetched slowly then. Never rejects.
   */
  async untilFetch(): Promise<void> {
    if (this.isCrowded) await this.#clock.sleep(LONGEST_PAUSE_MS, this.#pauses.signal).catch(() => {})
  }

  #endPauses(): void {
    this.#pauses.abort()
    this.#pauses = new AbortController()
  }
}

function noRoom(): OrderExpiryError {
  return new OrderExpiryError('STORE_UNDECIDED', 'other orders that were left behind are being looked at; try again')
}
