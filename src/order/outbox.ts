import type { EventType } from './event-types.ts'

/**
 * The events that a store has written together with its changes, for who delivers them to one or several sinks. The events of
 * one order are all in the same one of {@link NUM_SHARES} shares. Every method rejects with a STORE_* error, and within a bounded time.
 */
export interface Outbox {
  /**
   * The events of some shares that a sink has not got and that were not given up for it, by position. Nothing is locked: who
   * asks must hold the shares. An event can appear after others with later positions, if its transaction ended later.
   *
   * @param asked.after the position of the last event of the page before; undefined: from the beginning
   */
  undelivered(asked: { sink: string; after: string | undefined; shares: readonly number[]; limit: number }): Promise<{
    events: OutboxEvent[]
    /** Up to where it was read; undefined: not at all. */
    readTo: string | undefined
    /** Whether the limit has ended the page. */
    isMore: boolean
  }>

  /**
   * A sink has got these.
   *
   * @param options.sinks all that must get them. An event that all have got is dropped, or kept until {@link dropDelivered}
   */
  delivered(
    events: readonly OutboxEvent[],
    options: { sink: string; sinks: readonly string[]; keep: boolean },
  ): Promise<void>

  /** An attempt has failed. @param options.retryInMs undefined: the event is given up for this sink */
  failed(event: OutboxEvent, options: { sink: string; retryInMs: number | undefined; why: string }): Promise<void>

  /** A page of events by position, with what is known of them at each of the sinks. */
  list(asked: Listing): Promise<ListedEvent[]>

  /**
   * Puts in events that are not written together with a change of an order. One that somebody has put in already has the same id,
   * and is not put in again while the store knows of it: for a day, or for as long as delivered events are kept.
   */
  add(events: readonly NewEvent[]): Promise<void>

  /** It is as if the sink had neither got these nor failed: they are to be sent there again, under the same ids. */
  replay(events: readonly Pick<OutboxEvent, 'position'>[], options: { sink: string }): Promise<void>

  /** Drops up to {@link DROPPED_AT_ONCE} of those that all sinks got longer ago than this. @returns how many */
  dropDelivered(keptMs: number): Promise<number>
}

export const NUM_SHARES = 32
export const DROPPED_AT_ONCE = 1_000

/** An event as it is in the outbox. */
export interface OutboxEvent {
  /** Where it is in the outbox: opaque. */
  position: string
  /** The same for every receiver and every delivery. */
  id: string
  type: string
  orderId: string
  /** When it was written, in epoch milliseconds by the store's clock. */
  at: number
  data: Readonly<Record<string, unknown>>
  /** Attempts that failed at this sink, and milliseconds until the next; undefined: now. */
  failures: number
  waitMs?: number | undefined
}

/** An event to be put into the outbox. */
export interface NewEvent {
  type: EventType
  /** Empty: it is of no order. */
  orderId: string
  /** What makes it another event than those of the same type and order. */
  key: string
  data: Readonly<Record<string, unknown>>
}

/** Which events are to be listed. */
export interface Listing {
  sinks: readonly string[]
  /**
   * Those given up for one of the sinks; or those of an order, or with an id: also such as all have got, as far as they are kept.
   * Default: those that not all have got.
   */
  only?: 'given-up' | { orderId: string } | { id: string } | undefined
  /** The position of the last event of the page before; undefined: from the beginning. */
  after?: string | undefined
  limit: number
}

export interface ListedEvent extends Pick<OutboxEvent, 'position' | 'id' | 'type' | 'orderId' | 'at'> {
  /** One for each sink that was asked about, in their order. */
  deliveries: SinkDelivery[]
}

/** What is known of an event at a sink. */
export interface SinkDelivery {
  sink: string
  state: 'delivered' | 'waiting' | 'given-up'
  /**
   * When it was delivered, is tried again, or was given up, in epoch milliseconds by the store's clock; undefined: not known, or,
   * where it is waiting, as soon as it is its turn.
   */
  at?: number | undefined
  /** Attempts that have failed, and why the last one did. */
  failures: number
  why?: string | undefined
}
