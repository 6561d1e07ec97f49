/** What the history says of one event. Times are epoch milliseconds by the clock of where the orders are. */
export interface HistoryRow {
  at: number
  kind: 'order' | 'outbox'
  order_id: string
  before: string | null
  after: string
  was_paid: boolean
  /** In force when it happened; null for an insertion. */
  deadline: number | null
  next_deadline: number | null
  /** When that was decided of which it is a part: in PostgreSQL, when the transaction began. */
  decided_at: number
}

/** A shop: where its orders are, what its customers do, and a history of all that happens to the orders. */
export interface Shop {
  /** The settings by which a worker finds it. @param databaseUrl the way to PostgreSQL, perhaps by a proxy */
  env(databaseUrl: string): Record<string, string>
  /** Places orders. @returns their ids */
  place(deadlines: readonly number[]): Promise<string[]>
  /** A buyer pays. @param takesMs how long that takes */
  pay(id: string, takesMs: number): Promise<void>
  /** @returns whether the library is still to be told */
  extend(id: string, deadline: number): Promise<boolean>
  withdraw(id: string): Promise<void>
  /** The ids of the unpaid orders. */
  unpaid(): Promise<string[]>
  /** Unpaid orders whose deadline has passed. */
  countOverdue(): Promise<number>
  /** Unpaid orders, due or not. */
  countWaiting(): Promise<number>
  /** The latest deadline of an unpaid order; 0 if there is none. */
  lastDeadline(): Promise<number>
  history(): Promise<HistoryRow[]>
  /** What is on the shelf, and what should be: all but what orders that were not cancelled have taken. */
  shelf(): Promise<{ sku: string; available: number; expected: number }[]>
  /** What customers were told that has not come true. @param scheduled orders for which the library has said yes */
  brokenWords(scheduled: ReadonlySet<string>): Promise<string[]>
  postgresVersion(): Promise<string | undefined>
  close(): Promise<void>
}
