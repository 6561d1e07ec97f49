import { asOrderExpiryError, blameOf, type OrderExpiryError } from '../errors.ts'
import type { LeftOverdue } from '../observe/events.ts'
import { SWEPT_AFTER_MS } from '../order/promise.ts'
import { isOutage, nameOfOutcome, type Settle, type Settlement } from '../order/settle.ts'
import type { DueOrder, OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import { LeftOrders, whyLeft } from './left-orders.ts'
import { SweepMemory } from './sweep-memory.ts'

/** Pause after each page, as a share of the time it took: the store has others to serve. */
const PAUSE_SHARE = 0.25
/** For how long at most a sweep tries again what the store has rejected before. */
const REJECTED_MS = 10_000
/** Why an order is left that has not been tried, since the store has rejected it the last time. */
const NOT_TRIED = 'STORE_REJECTED'

/** What one sweep has found and done. */
export interface SweepResult {
  /** Unpaid orders past their deadline by more than {@link SWEPT_AFTER_MS}, and what became of those that were tried. */
  overdue: number
  outcomes: Readonly<Record<string, number>>
  /** Those that are still unpaid, as far as the sweep has come; undefined if it cannot know. */
  left?: LeftOverdue
  /** Those that were left undecided and lacked a check, which they now have: workers take them apart. */
  handedOver?: number
  /** Unpaid orders that fall due soon, and how many of them lacked a check. */
  upcoming: number
  added: number
  /** Where to go on with the orders that fall due soon, if the sweep has not come to their end. */
  next?: DueOrder
  /** Overdue orders were left undecided, and could not be given a check: another sweep is wanted soon. */
  isWantedSoon?: true
  /** The first of the orders that could not be settled, and why. */
  failed?: { orderId: string; error: OrderExpiryError }
  /** Why the sweep has left something undone, if it has. */
  error?: OrderExpiryError
}

export interface SweepOptions {
  store: OrderStore
  settle: Settle
  /** Gives the orders a check if they have none. @returns how many had none */
  addChecks: (orders: readonly DueOrder[]) => Promise<number>
  aheadMs: number
  pageSize: number
  /** The {@link SweepResult.next} of an earlier sweep: the orders up to it have their checks. */
  from?: DueOrder | undefined
  /** What earlier sweeps have left behind. Default: nothing, so that all overdue orders are tried alike. */
  memory?: SweepMemory
  /** For how long at most it deals with the orders that fall due soon. Default: to their end. */
  upcomingMs?: number
  /** Whether to leave the orders that fall due soon, since another sweep is wanted at once. */
  isWoken?: () => boolean
  /** Before and after each page is dealt with: the sweep goes on. */
  onStep?: () => void
  clock: Clock
  random?: () => number
  signal: AbortSignal
}

/**
 * One sweep over the order store: settles what is overdue straight away, without the queue, and makes sure that what falls
 * due soon has a check. All by the store's clock. What somebody else has locked is left to the next sweep, and what a bad
 * order leaves undecided to the workers; a bad order does not hold up those after it, and what the store says of the
 * overdue orders does not keep the others from their checks. Orders that the store has rejected before are tried again at
 * the end, within a bounded time. Never rejects.
 */
export async function sweep(options: SweepOptions): Promise<SweepResult> {
  const { store, settle, addChecks, aheadMs, pageSize, from, memory = new SweepMemory(), clock, signal } = options
  const { upcomingMs = Number.POSITIVE_INFINITY, isWoken = () => false, onStep = () => {} } = options
  const { random = Math.random } = options
  const outcomes: Record<string, number> = {}
  const result: SweepResult = { overdue: 0, outcomes, upcoming: 0, added: 0 }
  const left = new LeftOrders()
  /** What the store has rejected before, by its id, and why it is still left. */
  const rejected = new Map<string, { order: DueOrder; why: string }>()
  try {
    const now = await store.ping()
    const askedAt = clock.monotonic()
    const tellLeft = () => {
      for (const { order, why } of rejected.values()) left.add(order, why)
      result.left = left.asOf(now + clock.monotonic() - askedAt)
    }
    const overdueBefore = now - SWEPT_AFTER_MS
    const { last, isToEnd } = await settleOverdue(overdueBefore)
    const begin = from ?? last ?? (memory.seenId ? { orderId: memory.seenId, deadline: overdueBefore } : undefined)
    await addUpcoming({ overdueBefore, dueBefore: now + aheadMs, begin }).catch(note)
    if (isToEnd && !result.next) await tryRejected().catch(note)
    tellLeft()
  } catch (error) {
    note(error)
  }
  return result

  function note(error: unknown): void {
    if (!signal.aborted) result.error ??= asOrderExpiryError(error)
  }

  /** @returns the last of the orders that it has come to, and whether there are no more */
  async function settleOverdue(overdueBefore: number): Promise<{ last: DueOrder | undefined; isToEnd: boolean }> {
    const met = new Set<string>()
    let last: DueOrder | undefined
    let hasFailed = false
    for await (const page of pages(overdueBefore, undefined)) {
      last = page.at(-1)
      result.overdue += page.length
      const orders = page.filter((order) => !memory.isRejected(order.orderId))
      for (const order of page) {
        if (!memory.isRejected(order.orderId)) continue
        rejected.set(order.orderId, { order, why: NOT_TRIED })
        met.add(order.orderId)
      }
      if (orders.length === 0) continue
      const settlements = await settleAndCount(orders)
      for (const [index, order] of orders.entries()) {
        const settlement = settlements[index] as Settlement
        const why = whyLeft(settlement)
        if (why) left.add(order, why)
        if (!isRejection(settlement)) continue
        memory.reject(order.orderId)
        met.add(order.orderId)
      }
      await handOver(orders.filter((_, index) => isUndecided(settlements[index] as Settlement)))
      const outage = settlements.some(isOutageOf)
      // One page may have been unlucky, or to blame; of two in a row, the store is.
      if ((outage && hasFailed) || settlements.some(isHeld)) return { last, isToEnd: false }
      hasFailed = outage
    }
    memory.keepOnly(met)
    return { last, isToEnd: true }
  }

  async function settleAndCount(orders: readonly DueOrder[]): Promise<Settlement[]> {
    const settlements = await settle(orders)
    for (const [index, settlement] of settlements.entries()) {
      count(outcomes, settlement)
      if (settlement.kind !== 'failed') continue
      result.failed ??= { orderId: orders[index]?.orderId ?? '', error: settlement.error }
      if (isOutage(settlement.error)) result.error ??= settlement.error
    }
    return settlements
  }

  /** Undecided orders get a check, so that workers take them apart at once. */
  async function handOver(orders: readonly DueOrder[]): Promise<void> {
    // Asking Redis again for each page would hold up what is overdue.
    if (orders.length === 0 || result.isWantedSoon) return
    try {
      const count = await addChecks(orders)
      if (count > 0) result.handedOver = (result.handedOver ?? 0) + count
    } catch (error) {
      note(error)
      result.isWantedSoon = true
    }
  }

  async function addUpcoming(span: {
    overdueBefore: number
    dueBefore: number
    begin: DueOrder | undefined
  }): Promise<void> {
    const { overdueBefore, dueBefore, begin } = span
    const until = clock.monotonic() + upcomingMs
    // What is overdue is not read only to be left out.
    const after = begin && { orderId: begin.orderId, deadline: Math.max(begin.deadline, overdueBefore) }
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

  /** In random order, so that where the time does not suffice, each has its turn. */
  async function tryRejected(): Promise<void> {
    const until = clock.monotonic() + REJECTED_MS
    const waiting = shuffled([...rejected.values()], random)
    // Alone, a rejected order costs one call, and in a batch several; once they are mended, it is the other way round.
    let size = 1
    while (waiting.length > 0 && clock.monotonic() < until && !isWoken()) {
      signal.throwIfAborted()
      const startedAt = clock.monotonic()
      const orders = waiting.splice(-size).map(({ order }) => order)
      onStep()
      const settlements = await settleAndCount(orders)
      onStep()
      for (const [index, order] of orders.entries()) {
        const settlement = settlements[index] as Settlement
        if (settlement.kind !== 'failed') memory.forget(order.orderId)
        const why = whyLeft(settlement)
        if (why) rejected.set(order.orderId, { order, why })
        else rejected.delete(order.orderId)
      }
      if (settlements.some((settlement) => isHeld(settlement) || isOutageOf(settlement))) return
      size = settlements.some(({ kind }) => kind === 'failed') ? 1 : Math.min(2 * size, pageSize)
      await pause(startedAt)
    }
  }

  async function* pages(instant: number, begin: DueOrder | undefined): AsyncGenerator<DueOrder[]> {
    let after = begin
    for (;;) {
      signal.throwIfAborted()
      const startedAt = clock.monotonic()
      const page = await store.unpaidDueBefore(instant, after, pageSize)
      onStep()
      if (page.length > 0) yield page
      onStep()
      after = page.at(-1)
      memory.seenId = after?.orderId ?? memory.seenId
      if (page.length < pageSize) return
      await pause(startedAt)
    }
  }

  function pause(startedAt: number): Promise<void> {
    return clock.sleep((clock.monotonic() - startedAt) * PAUSE_SHARE, signal)
  }
}

function count(outcomes: Record<string, number>, settlement: Settlement): void {
  const name = nameOfOutcome(settlement)
  outcomes[name] = (outcomes[name] ?? 0) + 1
}

function isHeld(settlement: Settlement): boolean {
  return settlement.kind === 'postponed' && settlement.reason === 'brake'
}

function isOutageOf(settlement: Settlement): boolean {
  return settlement.kind === 'failed' && isOutage(settlement.error)
}

function isRejection(settlement: Settlement): boolean {
  return settlement.kind === 'failed' && blameOf(settlement.error) === 'order'
}

/** Whether it may only be another order of the batch that has stopped it. */
function isUndecided(settlement: Settlement): boolean {
  if (settlement.kind !== 'failed') return false
  return settlement.error.code === 'STORE_UNDECIDED' || blameOf(settlement.error) === 'lock'
}

function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  return items
    .map((item) => ({ item, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}
