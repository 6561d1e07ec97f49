import type { Settle } from '../order/settle.ts'
import type { DueOrder, OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'

/** What a sweep works with. */
export interface SweepOptions {
  store: OrderStore
  settle: Settle
  /** Gives the orders a check if they have none. @returns how many had none */
  addChecks: (orders: readonly DueOrder[]) => Promise<number>
  aheadMs: number
  /** Settle the backlog instead, and nothing else. Default false */
  backlog?: boolean
  pageSize: number
  /** By default nothing is remembered, so that all overdue orders are tried alike. */
  memory?: SweepMemory
  /** The `next` of an earlier sweep: the orders up to it have their checks. */
  from?: DueOrder | undefined
  /** The maximum time for the orders that fall due soon. Default: no limit. */
  upcomingMs?: number
  /** The maximum time for the orders that were left behind before. Default 10 s */
  leftBehindMs?: number
  /** Whether to skip the orders that fall due soon, because another sweep is wanted at once. */
  isWoken?: () => boolean
  /** Called before and after each page is dealt with: the sweep is getting on. */
  onStep?: () => void
  clock: Clock
  random?: () => number
  signal: AbortSignal
}

/** What a sweep leaves behind for the next one of the same process. */
export interface SweepMemory {
  /** The id of an order that the store has named: a page can only begin at an id of the store's own kind. */
  seenId?: string
  /** The orders that were locked or rejected when they were last tried, and why, as far as there is room. */
  leftBehind: Map<string, string>
}

/** What the steps of a sweep work with. */
export interface StepOptions extends SweepOptions {
  memory: SweepMemory
  /** Orders due by then, in epoch milliseconds by the store's clock, are settled; those due later get a check. */
  overdueBefore: number
}
