import type { OrderExpiryError } from '../errors.ts'
import type { OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import type { BrakeStatus, SharedBrake } from './shared-brake.ts'

/** Orders that would have been cancelled. */
export interface Held {
  orders: number
  /** `unknown`: it is not known whether the brake is engaged, or how many orders may be cancelled. */
  reason: string
  /** Why it is not known, for people. */
  cause?: string
}

export interface BrakeOptions {
  store: OrderStore
  shared: SharedBrake
  /** Cancellations in any minute, over all processes; undefined: no limit. */
  maxPerMinute: number | undefined
  /** How long payments may be absent while orders fall due; undefined: for ever. */
  paymentSilenceMs: number | undefined
  /** Who engages it, for people: `host:pid`. */
  by: string
  /** It has been engaged, again or by somebody else too, or released. */
  onChange: (status: BrakeStatus) => void
  /** It has become unknown whether it is engaged: nothing is cancelled until `onKnown`. */
  onUnknown: (error: OrderExpiryError) => void
  /** The state has become known, if `onUnknown` was called before. */
  onKnown: (status: BrakeStatus) => void
  onHeld: (held: Held) => void
  clock: Clock
  random?: () => number
}
