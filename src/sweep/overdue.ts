import { OVERDUE_AFTER_MS } from '../order/promise.ts'
import type { DueOrder, OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'

const ORDERS_PER_PAGE = 1_000
const MOST_ORDERS_COUNTED = 10_000
/** An answer stays fresh this many times as long as it took to find, and at least this long. */
const FRESH_TIMES = 20
const FRESH_FOR_MS = 5_000
/** A page or a scrape can wait this long for an answer. */
const SLOW_LOOK_MS = 500

interface OverdueFigures {
  /** Those that count as overdue, up to {@link MOST_ORDERS_COUNTED}. */
  orders: number
  /** How long ago the oldest of them was due; 0 if there is none. */
  oldestSeconds: number
}

/** What is overdue in the order store, whoever should have settled it. */
export class Overdue {
  readonly #store: () => Pick<OrderStore, 'ping' | 'unpaidDueBefore'>
  readonly #clock: Clock
  #known: { figures: OverdueFigures; at: number; freshMs: number; isSlow: boolean } | undefined
  #reading: Promise<OverdueFigures> | undefined

  constructor(options: { store: () => Pick<OrderStore, 'ping' | 'unpaidDueBefore'>; clock: Clock }) {
    this.#store = options.store
    this.#clock = options.clock
  }

  /**
   * By the store's clock, and a little old if somebody has just asked: those who ask take no more than a twentieth of the
   * store's time.
   *
   * @throws {OrderExpiryError} STORE_*
   */
  read(): Promise<OverdueFigures> {
    const known = this.#known
    const ageMs = known ? this.#clock.monotonic() - known.at : 0
    if (known && ageMs < known.freshMs) return Promise.resolve(agedBy(known.figures, ageMs))
    this.#reading ??= this.#look().finally(() => {
      this.#reading = undefined
    })
    // The store is slow but answers: nobody is kept waiting for it.
    if (known?.isSlow && ageMs < 2 * known.freshMs) {
      this.#reading.catch(() => {})
      return Promise.resolve(agedBy(known.figures, ageMs))
    }
    return this.#reading
  }

  async #look(): Promise<OverdueFigures> {
    const startedAt = this.#clock.monotonic()
    const store = this.#store()
    const now = await store.ping()
    let oldest: number | undefined
    let orders = 0
    let last: DueOrder | undefined
    do {
      const page = await store.unpaidDueBefore(now - OVERDUE_AFTER_MS, last, ORDERS_PER_PAGE)
      oldest ??= page[0]?.deadline
      orders += page.length
      last = page.length === ORDERS_PER_PAGE ? page.at(-1) : undefined
    } while (last && orders < MOST_ORDERS_COUNTED)
    const figures = { orders, oldestSeconds: oldest === undefined ? 0 : (now - oldest) / 1_000 }
    const at = this.#clock.monotonic()
    const tookMs = at - startedAt
    this.#known = { figures, at, freshMs: Math.max(FRESH_FOR_MS, FRESH_TIMES * tookMs), isSlow: tookMs > SLOW_LOOK_MS }
    return figures
  }
}

function agedBy({ orders, oldestSeconds }: OverdueFigures, ms: number): OverdueFigures {
  return { orders, oldestSeconds: orders > 0 ? oldestSeconds + ms / 1_000 : 0 }
}
