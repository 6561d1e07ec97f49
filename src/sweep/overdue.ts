import { OVERDUE_AFTER_MS } from '../order/promise.ts'
import type { DueOrder, OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import { SeldomRead } from '../runtime/seldom-read.ts'

const ORDERS_PER_PAGE = 1_000
const MOST_ORDERS_COUNTED = 10_000
const FRESH_FOR_MS = 5_000

interface OverdueFigures {
  /** Those that count as overdue, up to {@link MOST_ORDERS_COUNTED}. */
  orders: number
  /** How long ago the oldest of them was due; 0 if there is none. */
  oldestSeconds: number
}

type Store = Pick<OrderStore, 'ping' | 'unpaidDueBefore'>

/** What is overdue in the order store, whoever should have settled it. */
export class Overdue {
  readonly #figures: SeldomRead<OverdueFigures>

  constructor({ store, clock }: { store: () => Store; clock: Clock }) {
    this.#figures = new SeldomRead({ look: () => countOverdue(store()), freshForMs: FRESH_FOR_MS, clock })
  }

  /**
   * By the store's clock, and a little old if somebody has just asked.
   *
   * @throws {OrderExpiryError} STORE_*
   */
  async read(): Promise<OverdueFigures> {
    const { value, ageMs } = await this.#figures.read()
    const { orders, oldestSeconds } = value
    return { orders, oldestSeconds: orders > 0 ? oldestSeconds + ageMs / 1_000 : 0 }
  }
}

async function countOverdue(store: Store): Promise<OverdueFigures> {
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
  return { orders, oldestSeconds: oldest === undefined ? 0 : (now - oldest) / 1_000 }
}
