import type { Finding } from '../doctor/finding.ts'
import type { OrderStore } from '../order/store.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'

/** What a kind of store is given to work with, beside its own slice of the settings. */
export interface StoreOptions<Settings> {
  settings: Settings
  /** The Redis of the queue, empty if it is not known. */
  redisAddress: RedisAddress
  queue: NamedQueue
  /** At most. */
  connections: number
  /** `read`: it is only looked at, and must not be able to write. Default: it cancels. */
  access?: 'read'
  /** Whether somebody delivers the events. Default: not. */
  areDelivered?: boolean
  /** Whether the store must tell the time of a payment, for the brake. */
  watchesPayments: boolean
  /** Told of errors of idle connections. */
  onError: (error: Error) => void
  /** Told, in words for people, of problems that do not prevent the start. */
  onNotice: (notice: string) => void
}

/** What other settings ask of a kind of store. */
export interface AskedOfStore {
  isChosen: boolean
  /** As {@link StoreOptions.watchesPayments}. */
  watchesPayments: boolean
  /** Whether the payments of orders are closed before they are cancelled; undefined: not known. */
  closesPayments: boolean | undefined
}

export interface MigrationOptions {
  dryRun: boolean
  /** Also create the missing indexes of the orders table, as far as that holds up no writer. */
  withIndexes?: boolean
  /** Told of each statement before it is run, or would be. */
  onStatement?: (statement: string) => void
}

/** An index that the orders table lacks, and why it should have it. */
export interface MissingIndex {
  why: string
  /** What creates it, one statement per line; a line that begins with `#` is for people. */
  fix: string[]
  /** Whether it is made without holding up writers, and so by a migration that is asked for indexes. */
  isHarmless: boolean
}

/** What each folder beside this file offers in its `kind.ts`. All reject with STORE_* errors. */
export interface StoreKind<Settings> {
  /** @throws {OrderExpiryError} OUTBOX_MISSING too */
  open(options: StoreOptions<Settings>): Promise<OrderStore>
  /** Creates what the store needs beside the orders. @returns the indexes still missing */
  migrate(options: StoreOptions<Settings>, migration: MigrationOptions): Promise<MissingIndex[]>
  /** Looks at the store, and changes nothing. */
  diagnose(options: StoreOptions<Settings>, clock: Clock): Promise<Finding[]>
}
