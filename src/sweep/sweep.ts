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
  /** Where to go on with the orders that fall due soon, if the sweep has not come to their end. */
  next?: PageEnd
  /** The first of the orders that could not be settled, and why. */
  failed?: { orderId: string; error: OrderExpiryError }
  /** Why the sweep has left something undone, if it has. */
  error?: OrderExpiryError
}

export interface SweepOptions {
  store: OrderStore
  settle: Settle
  /** Gives the orders a check if they have none. @returns how many had none */
  addChecks: (orders: readonly PageEnd[]) => Promise<number>
  aheadMs: number
  pageSize: number
  /** The {@link SweepResult.next} of an earlier sweep: the orders up to it have their checks. */
  from?: PageEnd | undefined
  /** For how long at most it deals with the orders that fall due soon. Default: to their end. */
  upcomingMs?: number
  /** Whether to leave the orders that fall due soon, since another sweep is wanted at once. */
  isWoken?: () => boolean
  /** Before and after each page is dealt with: the sweep goes on. */
  onStep?: () => void
  clock: Clock
  signal: AbortSignal
}

/**
 * One sweep over the order store: settles what is overdue straight away, without the queue, and makes sure that what falls
 * due soon has a check. All by the store's clock. What somebody else has locked is left to the next sweep; a bad order does
 * not hold up those after it, and what the store says of the overdue orders does not keep the others from their checks.
 * Never rejects.
 */
export async function sweep(options: SweepOptions): Promise<SweepResult> {
  const { store, settle, addChecks, aheadMs, pageSize, from, clock, signal } = options
  const { upcomingMs = Number.POSITIVE_INFINITY, isWoken = () => false, onStep = () => {} } = options
  const outcomes: Record<string, number> = {}
  const result: SweepResult = { overdue: 0, outcomes, upcoming: 0, added: 0 }
  try {
    const now = await store.ping()
    const overdueBefore = now - OVERDUE_MS
    const last = await settleOverdue(overdueBefore)
    await addUpcoming({ overdueBefore, dueBefore: now + aheadMs, last: from ?? last })
  } catch (error) {
    if (!signal.aborted) result.error ??= asOrderExpiryError(error)
  }
  return result

  /** @returns the last of the orders that it has come to */
  async function settleOverdue(overdueBefore: number): Promise<PageEnd | undefined> {
    let last: PageEnd | undefined
    let hasFailed = false
    for await (const orders of pages(overdueBefore, undefined)) {
      last = orders.at(-1)
      result.overdue += orders.length
      const settlements = await settle(orders)
      for (const settlement of settlements) count(outcomes, settlement)
      for (const [index, settlement] of settlements.entries()) {
        if (settlement.kind === 'failed')
          result.failed ??= { orderId: orders[index]?.orderId ?? '', error: settlement.error }
      }
      const outage = settlements.map(outageOf).find((error) => error !== undefined)
      if (outage) result.error ??= outage
      // One page may have been unlucky, or to blame; of two in a row, the store is.
      if (outage && hasFailed) return last
      hasFailed = outage !== undefined
      if (settlements.some(isHeld)) return last // by the brake, and so would be the others
    }
    return last
  }

  async function addUpcoming(span: {
    overdueBefore: number
    dueBefore: number
    last: PageEnd | undefined
  }): Promise<void> {
    const { overdueBefore, dueBefore, last } = span
    const until = clock.monotonic() + upcomingMs
    // What is overdue and was not come to is not read only to be left out.
    const after = last && { orderId: last.orderId, deadline: Math.max(last.deadline, overdueBefore) }
    for await (const page of pages(dueBefore, after)) {
      const orders = page.filter(({ deadline }) => deadline > overdueBefore)
      result.upcoming += orders.length
      result.added += await addChecks(orders)
      const next = page.at(-1)
      if (page.length < pageSize || !next || (clock.monotonic() < until && !isWoken())) continue
      result.next = next
      return
    }
  }

  async function* pages(instant: number, begin: PageEnd | undefined): AsyncGenerator<PageEnd[]> {
    let after = begin
    for (;;) {
      signal.throwIfAborted()
      const startedAt = clock.monotonic()
      const page = await store.unpaidDueBefore(instant, after, pageSize)
      onStep()
      if (page.length > 0) yield page
      onStep()
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

function outageOf(settlement: Settlement): OrderExpiryError | undefined {
  return settlement.kind === 'failed' && isOutage(settlement.error) ? settlement.error : undefined
}
