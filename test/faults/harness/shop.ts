import type { Fact } from '../../../src/commands/demo/judge.ts'
import type { Holding } from '../../helpers/stock-shop.ts'

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
  /** Oldest first. */
  history(): Promise<Fact[]>
  /** Stock, coupons and points: what there is, and should be by what has become of the orders. None: there are no such things. */
  holdings(): Promise<Holding[]>
  /** What customers were told that has not come true. @param scheduled orders for which the library has said yes */
  brokenWords(scheduled: ReadonlySet<string>): Promise<string[]>
  postgresVersion(): Promise<string | undefined>
  close(): Promise<void>
}
