import { EventEmitter } from 'node:events'
import type { OrderExpiryError } from '../errors.ts'
import type { PaymentVerdict } from '../order/closings.ts'
import type { SettledBatch } from '../order/settle.ts'
import type { PaidLate, SetAside } from '../order/store.ts'
import { redisErrorCode } from '../redis/reply.ts'
import type { ClockOffsets } from './clock-offsets.ts'

/** The overdue orders that a sweep left unpaid. */
export interface LeftOverdue {
  orders: number
  oldest?: {
    orderId: string
    deadline: number
    /** Milliseconds from the deadline to the end of the sweep, by the order store's clock. */
    lateMs: number
    /** The reason of the postponement, or the code of the error. */
    why: string
  }
}

/** A check that has come to a decision. */
export interface FinishedCheckEvent {
  orderId: string
  jobId: string
  outcome: 'cancelled' | 'kept' | 'missing'
  status?: string | undefined
  /** Milliseconds from the deadline to the decision, by the order store's clock. */
  lateMs?: number | undefined
  /** Milliseconds from the deadline to the start of the check, by Redis' clock. */
  begunLateMs?: number | undefined
}

/** Everything the daemon says about itself. Code emits; `log.ts` words it. No event carries a secret. */
export interface Events {
  'service-started': { service: string; detail?: string }
  'waiting-for': { service: string; error: OrderExpiryError; waitMs: number }
  ready: { startedInMs: number }
  stopping: { reason: string }
  stopped: { errors: readonly OrderExpiryError[] }
  /** Of a batch, together: there may be tens of thousands in a second. */
  'checks-finished': { checks: readonly FinishedCheckEvent[] }
  'check-postponed': {
    orderId: string
    jobId: string
    delayMs: number
    why: string
    /** Milliseconds since the deadline that the job has, by Redis' clock. */
    lateMs?: number
  }
  'check-retried': { orderId: string; jobId: string; delayMs: number; error: OrderExpiryError }
  'check-given-up': { orderId?: string; jobId: string; error: OrderExpiryError }
  'batch-settled': SettledBatch & { by: 'worker' | 'sweep' }
  /** A sweep has handled an order; `outcome` may also be `postponed` or `failed`. */
  'order-swept': { orderId: string; outcome: string }
  /** `lateMs`: from the deadline to the decision, by the order store's clock. */
  'would-cancel': { orderId: string; lateMs?: number }
  /** A dry run has reported this many orders one by one, and reports no more. */
  'dry-run-full': { orders: number }
  /** What its provider says of the payment of an order that is to be cancelled. */
  'payment-answered': PaymentVerdict
  'sweep-finished': {
    /** Overdue orders, and what became of those that were tried. */
    overdue: number
    outcomes: Readonly<Record<string, number>>
    /** Undefined: the sweep ended before it knew. */
    left?: LeftOverdue
    /** Undecided orders that the sweep gave a check. */
    handedOver?: number
    /** Unpaid orders that fall due soon, and how many of them had no check and were given one. */
    upcoming: number
    added: number
    tookMs: number
    /** In the place of the workers: Redis is away. */
    standsIn?: true
    /** The first order that could not be settled. */
    failed?: { orderId: string; error: OrderExpiryError }
    /** Why the sweep did not finish. */
    error?: OrderExpiryError
  }
  /** Unpaid orders past their deadline that nobody cancels, as the store tells of them; `at`: when, in epoch milliseconds. */
  'orders-set-aside': SetAside & { at: number }
  /** Money came for orders after their cancellation, and `order.paid_late` tells of it. */
  'orders-paid-late': { orders: readonly PaidLate[] }
  'store-breaker-opened': { error: OrderExpiryError }
  'store-breaker-closed': object
  'store-notice': { notice: string }
  /** Also each time that it is engaged anew. `since`: by the clock of Redis. */
  'brake-changed': { engaged: boolean; reason?: string; by?: string; since?: number }
  /** Nothing is cancelled until its state is known again. */
  'brake-unknown': { error: OrderExpiryError }
  'brake-known': { engaged: boolean }
  'brake-held': { orders: number; reason: string; cause?: string }
  /** `ageMs`: since it was written. */
  'event-delivered': { sink: string; type: string; ageMs: number }
  /** An attempt to deliver it; `retryInMs` undefined: it is given up. */
  'event-failed': {
    sink: string
    id: string
    type: string
    orderId: string
    why: string
    retryInMs: number | undefined
  }
  /** A receiver wants no more events: none are sent until the process is started again. */
  'sink-gone': { sink: string; why: string }
  /** The events to be delivered could not be read, or what was delivered could not be noted. */
  'relay-failed': { sink: string; error: OrderExpiryError }
  'operator-acted': { by: string; action: string; requestId: string; queue?: string; jobId?: string }
  /** A request that may change orders was taken, and this came of it. */
  'orders-changed': {
    /** The name of the token; `anonymous` if none was required. */
    by: string
    requestId: string
    method: string
    route: string
    status: number
  } & ({ orderId: string; result: string } | { orders: number; results: Readonly<Record<string, number>> })
  /** A password or a token is wrong, or was not even tried: too many from that address were wrong before (`isLimited`). */
  'wrong-credentials': {
    door: string
    route: string
    address: string
    isLimited: boolean
    /** That have sent wrong ones within the minute. */
    addresses: number
  }
  'metrics-closed': object
  'redis-emptied': object
  /** By how much the clock of Redis or the order store is ahead of ours; negative: behind. */
  'clock-differs': { of: keyof ClockOffsets; offsetMs: number }
  'clock-agrees': { of: keyof ClockOffsets }
  'request-finished': {
    requestId: string
    method: string
    /** Its pattern, such as `/v1/orders/:id`. */
    route: string
    status: number
    tookMs: number
    /** The name of the token or user; `anonymous` if none was required or given. */
    by: string
    error?: OrderExpiryError
  }
  /** These scripts of the installed BullMQ are not as they were in the `known` version, so BullMQ's own take and end the checks. */
  'claims-wrapped': { scripts: readonly string[]; known: string }
  'worker-error': { error: Error }
  'redis-error': { connection: string; error: Error }
  'traces-error': { error: Error }
  'store-error': { error: Error }
  'embedded-redis-exited': { code: number | null; signal: string | null }
}

export type EventName = keyof Events

/** The kind of an error, for logs and labels: what Redis, the system or a driver calls it, or else its class. */
export function errorCode(error: Error): string {
  const { code } = error as { code?: unknown }
  return redisErrorCode(error) ?? (typeof code === 'string' ? code : error.name)
}

/** Emits to listeners that cannot break the emitter: what a listener throws is dropped. */
export class EventBus {
  readonly #emitter = new EventEmitter()

  on<Name extends EventName>(name: Name, listener: (event: Events[Name]) => void): void {
    this.#emitter.on(name, (event: Events[Name]) => {
      try {
        listener(event)
      } catch {
        // A log line that cannot be worded must not cost an order.
      }
    })
  }

  emit<Name extends EventName>(name: Name, event: Events[Name]): void {
    this.#emitter.emit(name, event)
  }
}
