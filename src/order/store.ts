import type { OrderExpiryError } from '../errors.ts'
import type { Check, Order, Outcome } from './order.ts'
import type { Outbox, SinkDelivery } from './outbox.ts'

/**
 * The port to the shop's orders, and the only truth about them. Every adapter passes `test/contract/order-store.ts`.
 * Every method rejects with a STORE_* error of `errors.ts`, and within a bounded time. Only `cancelUnpaid` rejects with one that
 * blames an order.
 */
export interface OrderStore {
  /**
   * Cancels those of the orders that exist, are unpaid and past their deadline by the store's own clock; all effects of
   * a cancellation happen once, in one transaction. It does not wait for an order that someone else has locked.
   *
   * @param options.dryRun change nothing, take no lock: `cancelled` then means "would be"
   * @param options.by who looks at the orders, for the events. Default `check`
   * @returns one outcome for each check, in their order. An id the store cannot hold is `missing`.
   */
  cancelUnpaid(checks: readonly Check[], options?: CancelOptions): Promise<Outcome[]>

  /** The orders as they are now, one for each id, in their order; undefined for those that do not exist. */
  find(orderIds: readonly string[]): Promise<(Order | undefined)[]>

  /**
   * A page of unpaid orders due at or before `instant`, by deadline, then id, after the last of the page before. Those that
   * are set aside are not among them.
   *
   * @param options.backlog only those of the backlog instead
   */
  unpaidDueBefore(
    instant: number,
    after: DueOrder | undefined,
    limit: number,
    options?: { backlog?: boolean },
  ): Promise<DueOrder[]>

  /** Unpaid orders past their deadline that nobody cancels. Only for stores that can hold such orders. */
  setAside?(): Promise<SetAside>

  /** When an order last became paid, in epoch milliseconds; undefined if none has, or the store does not keep it. */
  newestPayment(): Promise<number | undefined>

  /** Only for stores that keep events until somebody takes them. */
  outbox?(): Promise<Backlog>

  /** The same events, for who delivers them. */
  readonly deliveries?: Outbox | undefined

  /**
   * Tells of money that came for orders after their cancellation: each payment once, by an event `order.paid_late`, whoever calls it, and
   * however late. One call does a bounded part of the work. Only for stores that can see it.
   */
  tellPaidLate?(): Promise<ToldPaidLate>

  /**
   * Those that the store still has, oldest first. Undefined if finding none proves nothing: they are trimmed, or too many.
   *
   * @param sinks those whose deliveries are to be told. Default: none
   */
  eventsOf?(orderId: string, sinks?: readonly string[]): Promise<KeptEvent[] | undefined>

  /** Resolves if the store can be reached and written to, with epoch milliseconds by its clock. */
  ping(): Promise<number>

  /** Gives the connections back. Resolves whatever is down; nothing can be called afterwards. */
  close(): Promise<void>
}

export interface CancelOptions {
  dryRun?: boolean
  by?: DecidedBy
}

export type DecidedBy = 'check' | 'sweep'

/** Orders that are never cancelled by themselves, so that somebody must decide; counted up to 10,000 each. */
export interface SetAside {
  /** Overdue for more than a day when the daemon first saw the table. `oldest`: the first deadline, in epoch milliseconds. */
  backlog: { orders: number; oldest?: number | undefined }
  /** With a deadline that cannot be meant: before 2001, or not a time. `examples`: the ids of up to five. */
  unreadable: { orders: number; examples: string[] }
}

/** Events that nobody has taken yet: how many, counted up to 10,000, and the age of the oldest by the store's clock. */
export interface Backlog {
  events: number
  oldestAgeMs: number | undefined
}

/** Money that came for an order after its cancellation. */
export interface PaidLate {
  orderId: string
  /** The shop's own statement has taken its stock again, and it counts as paid. */
  reopened?: true
}

export interface ToldPaidLate {
  orders: PaidLate[]
  /** Whether another call has more to look at. */
  isMore: boolean
  /** Why orders could not be looked for, or one could not be reopened yet. */
  failed?: OrderExpiryError
}

/** An event that was written together with a change of an order. */
export interface KeptEvent {
  /** The same for every receiver and every delivery. */
  id: string
  type: string
  /** Epoch milliseconds. */
  at: number
  /** Of `order.paid_late`: as in {@link PaidLate}. */
  reopened?: true | undefined
  /**
   * How far each reader has come, where reading leaves events in place: it has not reached this one (`waiting`), was given it
   * and has not acknowledged it (`given`), or is `past` it and owes nothing. Undefined: an event stays until it is taken.
   */
  readers?: { name: string; state: 'past' | 'given' | 'waiting' }[]
  /** One for each sink that was asked about; none at all: it is not, or no longer, to be delivered. Undefined: not known. */
  deliveries?: SinkDelivery[]
}

/** An unpaid order that is due by some instant. */
export interface DueOrder {
  orderId: string
  /** Epoch milliseconds, with a fraction where the store's times are finer. */
  deadline: number
}
