/** Why no order is cancelled. */
export type BrakeReason = 'limit' | 'payment-silence' | 'manual'

/** The state of the brake, the same for all processes. Times are epoch milliseconds by the clock of its keeper. */
interface BrakeState {
  engaged: boolean
  /** A {@link BrakeReason}, or the words of whoever engaged it. */
  reason?: string
  /** Who or what engaged or released it last, for people. */
  by?: string
  since?: number
  /** Until then it does not engage by itself, because somebody has released it. */
  suspendedUntil?: number
}

export interface BrakeStatus extends BrakeState {
  /** Cancellations within the last minute, over all processes, as far as they are counted. */
  lastMinute: number
}

export interface Grant {
  granted: number
  status: BrakeStatus
}

/** The port to the keeper of the state that all processes share. Every method rejects within a bounded time. */
export interface SharedBrake {
  status(): Promise<BrakeStatus>
  /**
   * Asks for `count` cancellations, at most `limit` of which are granted within any minute; none while it is engaged.
   *
   * @param id of this request alone: however often it arrives, it is granted and counted once
   */
  reserve(id: string, count: number, limit: number): Promise<Grant>
  /** Of the grant to `id`, at most `used` counts from now on, even if the request for it arrives only later. */
  use(id: string, used: number): Promise<void>
  /** Cancellations made within the last minute, without those only granted. */
  countUsed(): Promise<number>
  /** Engages it, unless it is suspended and the reason is not `manual`. */
  engage(reason: BrakeReason, by: string): Promise<BrakeStatus>
}
