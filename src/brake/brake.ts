import { randomUUID } from 'node:crypto'
import { asOrderExpiryError, blameOf, OrderExpiryError } from '../errors.ts'
import type { Check, Outcome } from '../order/order.ts'
import type { OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'

/** Why no order is cancelled. */
export type BrakeReason = 'limit' | 'payment-silence' | 'manual'

/** The state of the brake, the same for all processes. Times are epoch milliseconds by the clock of its keeper. */
export interface BrakeStatus {
  engaged: boolean
  reason?: BrakeReason
  /** Who or what has engaged or released it last, for people. */
  by?: string
  since?: number
  /** Until then it does not engage by itself, because somebody has released it. */
  suspendedUntil?: number
  /** Cancellations within the last minute, over all processes, as far as they are counted. */
  lastMinute: number
}

export interface Grant {
  granted: number
  status: BrakeStatus
}

/** Orders that would have been cancelled. */
export interface Held {
  orders: number
  /** `unknown`: whether the brake is engaged, or how many may be cancelled, could not be found out. */
  reason: BrakeReason | 'unknown'
  /** What kept it from being found out, for people. */
  cause?: string
}

/** Where the state is kept that all processes share. Every method rejects within a bounded time. */
export interface SharedBrake {
  status(): Promise<BrakeStatus>
  /**
   * Asks for `count` cancellations, at most `limit` of which are granted within any minute; none while it is engaged.
   *
   * @param id of this request alone: however often it arrives, it is granted and counted once
   */
  reserve(id: string, count: number, limit: number): Promise<Grant>
  /**
   * What was granted to `id` has been used, or will not be: no more than `used` of it counts from now on; also if the
   * request arrives only later.
   */
  use(id: string, used: number): Promise<void>
  /** Cancellations within the last minute that have been made, without those that are only granted. */
  countUsed(): Promise<number>
  /** Engages it, unless it is suspended and the reason is not `manual`. */
  engage(reason: BrakeReason, by: string): Promise<BrakeStatus>
}

/** When to look again at an order that the brake has held back: between the two, so that they do not all come at once. */
const AGAIN_MIN_MS = 10_000
const AGAIN_MAX_MS = 30_000

/** How long the time of the newest payment is believed: a share of the silence, and this at most. */
const PAYMENT_FRESH_SHARE = 0.05
const PAYMENT_FRESH_MAX_MS = 60_000

/** How long nobody asks again for the state after its keeper has not answered. */
const AFTER_FAILURE_MS = 5_000
/** A grant counts in the minute after it was given: one that is used later, as by a process that was stopped, does not. */
const GRANT_FRESH_MS = 5_000

interface Reserved extends Pick<Grant, 'granted'>, Pick<Held, 'cause'> {
  id: string
}

export interface BrakeOptions {
  store: OrderStore
  shared: SharedBrake
  /** Cancellations in any minute, over all processes; undefined: no limit. */
  maxPerMinute: number | undefined
  /** For how long no order may have become paid while orders fall due; undefined: for ever. */
  paymentSilenceMs: number | undefined
  /** Who engages it, for people: `host:pid`. */
  by: string
  onChange: (status: BrakeStatus) => void
  onHeld: (held: Held) => void
  clock: Clock
  random?: () => number
}

/**
 * The mass-cancel brake: when the payment feed dies, every order looks unpaid, and what is cancelled wrongly must be little.
 *
 * Each batch asks for the state, so that somebody who engages it by hand stops the very next one.
 *
 * With a limit or a silence set, each batch is judged first, and only as many of its orders are cancelled as are granted.
 * While the keeper of the state cannot be asked, nothing is granted: unknown is never "unpaid". Without them only a brake
 * that somebody has engaged by hand counts, and the last state that was known while the keeper is away. What the store
 * rejects with, the brake rejects with.
 */
export class Brake {
  readonly #options: BrakeOptions
  #status: BrakeStatus | undefined
  /** When the keeper of the state last gave no answer. */
  #triedInVainAt = Number.NEGATIVE_INFINITY
  #refreshing: Promise<void> | undefined
  /** The store's time of the first order that fell due here: silence is not counted from before. */
  #watchingSince: number | undefined
  #newestPayment: { value: number | undefined; readAt: number } | undefined

  constructor(options: BrakeOptions) {
    this.#options = options
  }

  /** The last state that was known. */
  get known(): BrakeStatus | undefined {
    return this.#status
  }

  /** {@link OrderStore.cancelUnpaid} as far as the brake lets it; what it holds back is postponed with reason `brake`. */
  async cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> {
    const { store, maxPerMinute, paymentSilenceMs } = this.#options
    const isWatching = maxPerMinute !== undefined || paymentSilenceMs !== undefined
    if (!isWatching && !(await this.#isEngaged())) return store.cancelUnpaid(checks)

    const outcomes = await store.cancelUnpaid(checks, { dryRun: true })
    const due = outcomes.flatMap(({ kind }, index) => (kind === 'cancelled' ? [index] : []))
    if (due.length === 0) return outcomes
    const decidedAt = outcomes[due[0] as number]?.evidence.decidedAt as number
    // An order may stand in the batch twice, but is cancelled once.
    const orderIds = new Set(due.map((index) => (checks[index] as Check).orderId))
    const reserved = await this.#reserve(orderIds.size, decidedAt)
    const granted = new Set([...orderIds].slice(0, reserved.granted))
    const isGranted = (index: number) => granted.has((checks[index] as Check).orderId)

    const allowed = due.filter(isGranted)
    if (allowed.length > 0) {
      const done = await this.#cancelGranted(
        allowed.map((index) => checks[index] as Check),
        reserved,
      )
      for (const [n, index] of allowed.entries()) outcomes[index] = done[n] as Outcome
    }
    const held = due.filter((index) => !isGranted(index))
    if (held.length > 0 && !reserved.cause) await this.#engageIfTooMany(checks)
    for (const index of held) outcomes[index] = this.#postpone(outcomes[index] as Outcome)
    if (held.length > 0) {
      const isEngaged = this.#status?.engaged ?? false
      const cause = reserved.cause ?? (isEngaged ? undefined : 'the rest of the limit is granted to others just now')
      const reason = (!cause && this.#status?.reason) || 'unknown'
      this.#options.onHeld({ orders: held.length, reason, ...(cause && { cause }) })
    }
    return outcomes
  }

  /** Reads the shared state. Resolves whatever is down. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#readStatus().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #readStatus(): Promise<void> {
    try {
      this.#learn(await this.#options.shared.status())
    } catch {
      // The last one that was known counts, and nobody waits for another try so soon.
      this.#triedInVainAt = this.#options.clock.monotonic()
    }
  }

  async #isEngaged(): Promise<boolean> {
    const isInVain = this.#options.clock.monotonic() - this.#triedInVainAt <= AFTER_FAILURE_MS
    if (!isInVain) await this.refresh()
    return this.#status?.engaged ?? false
  }

  /** How many of `count` orders may be cancelled now. Rejects if the store cannot be asked for the newest payment. */
  async #reserve(count: number, decidedAt: number): Promise<Reserved> {
    const { shared, maxPerMinute, by, clock } = this.#options
    const none = { id: '', granted: 0 }
    this.#watchingSince ??= decidedAt
    // Of a brake that is released, the reservation itself tells when it is engaged.
    if (this.#status?.engaged !== false && (await this.#isEngaged())) return none
    const isSilent = await this.#isSilent(decidedAt)
    const id = randomUUID()
    const askedAt = clock.monotonic()
    try {
      if (isSilent) {
        this.#learn(await shared.engage('payment-silence', by))
        if (this.#status?.engaged) return none
      }
      // Also without a limit: a brake engaged since the last look counts.
      const { granted, status } = await shared.reserve(id, count, maxPerMinute ?? Number.MAX_SAFE_INTEGER)
      this.#learn(status)
      if (clock.monotonic() - askedAt <= GRANT_FRESH_MS) return { id, granted }
      void this.#use(id, 0)
      return { ...none, cause: 'the grant came too late to be used' }
    } catch (error) {
      // It may have been counted. Nobody waits for a keeper that has just failed to answer.
      void this.#use(id, 0)
      return { ...none, cause: `its state is not known: ${asOrderExpiryError(error).message}` }
    }
  }

  /**
   * What is granted to others may be for these very orders, when a worker and a sweep, or two processes, are at them. So it
   * counts only what has been cancelled before it looks again which of them are still to be.
   */
  async #engageIfTooMany(checks: readonly Check[]): Promise<void> {
    const { store, shared, maxPerMinute } = this.#options
    if (maxPerMinute === undefined || this.#status?.engaged) return
    try {
      const used = await shared.countUsed()
      const outcomes = await store.cancelUnpaid(checks, { dryRun: true })
      const due = new Set(
        checks.filter((_, index) => outcomes[index]?.kind === 'cancelled').map(({ orderId }) => orderId),
      )
      if (used + due.size <= maxPerMinute) return
      this.#learn(await shared.engage('limit', `more than ${maxPerMinute} cancellations in a minute`))
    } catch {
      // The limit holds all the same, and the next batch comes to this point again.
    }
  }

  async #isSilent(decidedAt: number): Promise<boolean> {
    const { paymentSilenceMs } = this.#options
    if (paymentSilenceMs === undefined) return false
    const lastSeen = (await this.#readNewestPayment(paymentSilenceMs)) ?? (this.#watchingSince as number)
    return decidedAt - lastSeen > paymentSilenceMs
  }

  async #readNewestPayment(paymentSilenceMs: number): Promise<number | undefined> {
    const { store, clock } = this.#options
    const freshMs = Math.min(PAYMENT_FRESH_MAX_MS, paymentSilenceMs * PAYMENT_FRESH_SHARE)
    if (!this.#newestPayment || clock.monotonic() - this.#newestPayment.readAt > freshMs) {
      const value = await store.newestPayment().catch((cause) => {
        const error = asOrderExpiryError(cause)
        throw new OrderExpiryError(
          // Not because of an order in the batch: no part of it would fare better.
          blameOf(error) === 'lock' ? error.code : 'STORE_UNAVAILABLE',
          `the newest payment cannot be read (BRAKE_PAYMENT_SILENCE): ${error.message}`,
          { cause },
        )
      })
      this.#newestPayment = { value, readAt: clock.monotonic() }
    }
    return this.#newestPayment.value
  }

  async #cancelGranted(checks: readonly Check[], { id }: Reserved): Promise<Outcome[]> {
    try {
      const done = await this.#options.store.cancelUnpaid(checks)
      const used = done.filter(({ kind }) => kind === 'cancelled').length
      await this.#use(id, used)
      return done
    } catch (error) {
      // What is tried again and again would otherwise use up the minute, and engage the brake though nothing is cancelled.
      if (hasEnded(asOrderExpiryError(error))) await this.#useUnpaid(checks, id)
      throw error
    }
  }

  /** Not every store rolls back all of a batch that it rejects, so that what is still unpaid is counted anew. */
  async #useUnpaid(checks: readonly Check[], id: string): Promise<void> {
    const outcomes = await this.#options.store.cancelUnpaid(checks, { dryRun: true }).catch(() => undefined)
    if (!outcomes) return
    const orderIds = new Set(checks.map(({ orderId }) => orderId))
    const unpaid = checks.filter((_, index) => outcomes[index]?.kind === 'cancelled')
    await this.#use(id, orderIds.size - new Set(unpaid.map(({ orderId }) => orderId)).size)
  }

  async #use(id: string, used: number): Promise<void> {
    await this.#options.shared.use(id, used).catch(() => {}) // then they count as cancelled
  }

  #postpone({ evidence }: Outcome): Outcome {
    const { random = Math.random } = this.#options
    const until = evidence.decidedAt + AGAIN_MIN_MS + Math.round(random() * (AGAIN_MAX_MS - AGAIN_MIN_MS))
    return { kind: 'postponed', until, reason: 'brake', evidence }
  }

  #learn(status: BrakeStatus): void {
    const before = this.#status
    this.#status = status
    if (before?.engaged !== status.engaged && (before || status.engaged)) this.#options.onChange(status)
  }
}

/** Whether the store has ended the batch, and can be asked what is cancelled. Else it may still be at it. */
function hasEnded({ code }: OrderExpiryError): boolean {
  return code !== 'STORE_UNAVAILABLE' && code !== 'UNEXPECTED'
}
