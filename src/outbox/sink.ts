import type { OutboxEvent } from '../order/outbox.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'

/** Where events are delivered to. */
export interface Sink {
  /** The name under which a delivery is remembered: it must not change. */
  readonly name: string
  /** Events in flight at once. */
  readonly concurrency: number
  /** Never rejects, and ends within a bounded time. */
  deliver(event: OutboxEvent): Promise<Delivery>
  /** Resolves whatever is down. */
  close(): Promise<void>
}

/** What became of an attempt; `why` is for people, and without a secret. */
export type Delivery =
  | { kind: 'delivered' }
  /** `isThere`: the receiver works, and takes no offence but at this event; `retryAfterMs`: it asks for that time. */
  | { kind: 'failed'; why: string; isThere?: boolean; retryAfterMs?: number | undefined }
  /** The receiver wants no more events. */
  | { kind: 'gone'; why: string }

/** What a sink is made from, beside its own settings. */
export interface SinkOptions {
  /** Who sends the events, as a URI reference. */
  source: string
  /** Of this package. */
  version: string
  /** The daemon's Redis, and its own queue there. */
  redisAddress: RedisAddress
  queue: NamedQueue
  clock: Clock
}
