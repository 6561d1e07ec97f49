import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import { isOutage, nameOfOutcome, type Settle, type Settlement } from '../order/settle.ts'
import type { OrderStore, PageEnd } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'

/** Workers are to settle an order; so long after its deadline, the sweep does. */
export const OVERDUE_MS = 5_000
/** Pause after each page, as a share of the time it took: the store has others to serve. */
const PAUSE_SHARE = 0.25

/** What one sweep has found and done. */
export interface SweepResult {
  /** Unpaid orders past their deadline by more than {@link OVERDUE_MS}, and what became of them. */
  overdue: number
  outcomes: Readonly<Record<string, number>>
  /** Unpaid orders that fall due soon, and how many of them lacked a check. */
  upcoming: number
  added: number
  /** Why the sweep ended before its end, if it did. */
  error?: OrderExpiryError
}

export interface SweepOptions {
  store: OrderStore
  settle: Settle
  /** Gives the orders a check if they have none. @returns how many had none */
  addChecks: (orders: readonly PageEnd[]) => Promise<number>
  aheadMs: number
  pageSize: number
  /** After each page. */
  onPage?: (page: { orders: readonly PageEnd[]; settlements?: readonly Settlement[] }) => void
  clock: Clock
  signal: AbortSignal
}

/**
 * One sweep over the order store: settles what is overdue straight away, without the queue, and makes sure that what falls
 * due soon has a check. All by the store's clock. What somebody else has locked is left to the next sweep; a bad order does
 * not hold up those after it. Never rejects.
 */
export async function sweep(options: SweepOptions): Promise<SweepResult> {
  const { store, settle, addChecks, aheadMs, pageSize, onPage, clock, signal } = options
  const outcomes: Record<string, number> = {}
  const result = { overdue: 0, outcomes, upcoming: 0, added: 0 }
  try {
    const now = await store.ping()
    const overdueBefore = now - OVERDUE_MS
    let last: PageEnd | undefined
    for await (const orders of pages(overdueBefore, undefined)) {
      last = orders.at(-1)
      result.overdue += orders.length
      const settlements = await settle(orders)
      for (const settlement of settlements) count(outcomes, settlement)
      onPage?.({ orders, settlements })
      for (const settlement of settlements)
        if (settlement.kind === 'failed' && isOutage(settlement.error)) throw settlement.error
      if (settlements.some(isHeld)) break // by the brake, and so would be the others
    }
    for await (const page of pages(now + aheadMs, last)) {
      const orders = page.filter(({ deadline }) => deadline > overdueBefore)
      result.upcoming += orders.length
      result.added += await addChecks(orders)
      onPage?.({ orders })
    }
    return result
  } catch (error) {
    if (signal.aborted) return result
    return { ...result, error: asOrderExpiryError(error) }
  }

  async function* pages(instant: number, from: PageEnd | undefined): AsyncGenerator<PageEnd[]> {
    let after = from
    for (;;) {
      signal.throwIfAborted()
      const startedAt = clock.monotonic()
      const page = await store.unpaidDueBefore(instant, after, pageSize)
      if (page.length > 0) yield page
      after = page.at(-1)
      if (page.length < pageSize) return
      await clock.sleep((clock.monotonic() - startedAt) * PAUSE_SHARE, signal)
    }
  }
}

function count(outcomes: Record<string, number>, settlement: Settlement): void {
  const name = nameOfOutcome(settlement)
  outcomes[name] = (outcomes[name] ?? 0) + 1
}

function isHeld(settlement: Settlement): boolean {
  return settlement.kind === 'postponed' && settlement.reason === 'brake'
}
