import type { Servers } from './servers.ts'

/** An order of the bench: a row in the orders table, whose deadline is epoch milliseconds. */
export interface BenchOrder {
  orderId: string
  deadline: number
  paid: boolean
}

/**
 * A way to cancel what is unpaid at its deadline. All of them work on the same table `orders` (id text primary key, status,
 * paid_at, payment_deadline, cancelled_at, settled_at), whose BEFORE UPDATE trigger writes clock_timestamp() into settled_at,
 * so that the moment of each cancellation is measured in the same way for all.
 */
export interface Contender {
  name: string
  /** What it is and where its settings are advised, for the report. */
  advice: string
  /** Whether it changes orders at all; the ceilings do not. */
  cancels: boolean
  /** Makes what it needs, before anything is measured. @returns why it cannot be measured here, or nothing */
  prepare?(): string | undefined
  /** Plans a check for each order, in bulk, as fast as it can. The rows are there already. */
  place(servers: Servers, orders: readonly BenchOrder[]): Promise<void>
  /** Starts its worker, a process of its own, and resolves when it is ready and idle. */
  start(servers: Servers): Promise<Running>
}

export interface Running {
  /** Processes whose CPU time counts as the contender's own. */
  pids: number[]
  /** How many of the planned checks are not finished. Cheap enough to be asked 20 times a second. */
  unfinished(): Promise<number>
  /** Ends its processes at once: what it leaves behind is thrown away by `Servers.reset`. */
  stop(): Promise<void>
}
