import type { Check, Order, Outcome } from './order.ts'

/**
 * The port to the shop's orders: the only truth about them. Every adapter passes `test/contract/order-store.ts`.
 * Every method rejects with a STORE_* error of `errors.ts`, and within a bounded time.
 */
export interface OrderStore {
  /**
   * Cancels those of the orders that exist, are unpaid and past their deadline by the store's own clock; all effects of
   * a cancellation happen in one transaction, once. An order that someone else has locked is not waited for.
   *
   * @param options.dryRun change nothing, take no lock: `cancelled` then means "would be"
   * @returns one outcome for each check, in their order. An id the store cannot hold is `missing`.
   */
  cancelUnpaid(checks: readonly Check[], options?: { dryRun?: boolean }): Promise<Outcome[]>

  /** The orders as they are now, one for each id, in their order; undefined for those that do not exist. */
  find(orderIds: readonly string[]): Promise<(Order | undefined)[]>

  /**
   * A page of the unpaid orders whose deadline is at or before `instant`, by deadline, then id.
   *
   * @param after the last order of the page before, for the next one
   */
  unpaidDueBefore(instant: number, after: DueOrder | undefined, limit: number): Promise<DueOrder[]>

  /** When an order last became paid, in epoch milliseconds; undefined if none has, or the store does not keep it. */
  newestPayment(): Promise<number | undefined>

  /** What waits to be told to others. Only of stores that keep events until somebody takes them. */
  outbox?(): Promise<Backlog>

  /**
   * The events of an order that the store still has, oldest first, for `explain`. Only of stores that keep events.
   *
   * @returns undefined if it cannot tell that there are none: they go by themselves, or are too many to look through
   */
  eventsOf?(orderId: string): Promise<KeptEvent[] | undefined>

  /** Resolves if the store can be reached and written to. @returns epoch milliseconds by the store's clock */
  ping(): Promise<number>

  /** Gives the connections back. Resolves whatever is down; nothing can be called afterwards. */
  close(): Promise<void>
}

/** Events that nobody has taken yet. */
export interface Backlog {
  /** How many; counted up to 10,000. */
  events: number
  /** Of the oldest, in milliseconds by the store's clock; undefined if there is none. */
  oldestAgeMs: number | undefined
}

/** An event that was written with a change of an order. */
export interface KeptEvent {
  /** The same for each receiver, however often it is told. */
  id: string
  type: string
  /** Epoch milliseconds. */
  at: number
  /**
   * How far each reader is, where events stay when they are read: not there yet, given it and to acknowledge it, or past it
   * and owing nothing. Undefined: an event is there until it is taken.
   */
  readers?: { name: string; state: 'past' | 'given' | 'waiting' }[]
}

/** An unpaid order that is due by some instant. */
export interface DueOrder {
  orderId: string
  /** Epoch milliseconds, with a fraction where the store's times are finer. */
  deadline: number
}
