import { asOrderExpiryError, type ErrorCode } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Check, Outcome } from './order.ts'
import type { OrderStore } from './store.ts'

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
  /** The second in which it counts, by the keeper's clock. */
  second: number
  status: BrakeStatus
}

/** Where the state is kept that all processes share. Every method rejects within a bounded time. */
export interface SharedBrake {
  status(): Promise<BrakeStatus>
  /**
   * Asks for `count` cancellations, at most `limit` of which are granted within any minute. If not all can be granted, the
   * brake is engaged; if it is engaged already, none is granted.
   */
  reserve(count: number, limit: number): Promise<Grant>
  /** Gives back what was granted and not used. */
  giveBack(count: number, grant: Grant): Promise<void>
  /** Engages it, unless it is suspended and the reason is not `manual`. */
  engage(reason: BrakeReason, by: string): Promise<BrakeStatus>
}

/** When to look again at an order that the brake has held back: between the two, so that they do not all come at once. */
const AGAIN_MIN_MS = 10_000
const AGAIN_MAX_MS = 30_000

/** How long the time of the newest payment is believed: a share of the silence, and this at most. */
const PAYMENT_FRESH_SHARE = 0.05
const PAYMENT_FRESH_MAX_MS = 60_000

/** The store says that it has changed nothing. After any other error the batch may have been cancelled, and counts. */
const ROLLED_BACK: readonly ErrorCode[] = [
  'STORE_REJECTED',
  'STORE_LOCKED',
  'STORE_DEADLOCK',
  'STORE_SERIALIZATION',
  'STORE_READ_ONLY',
  'STORE_BUSY',
  'STORE_REFUSED',
]

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
  onHeld: (held: { orders: number; status: BrakeStatus | undefined }) => void
  clock: Clock
  random?: () => number
}

/**
 * The mass-cancel brake: when the payment feed dies, every order looks unpaid, and what is cancelled wrongly must be little.
 *
 * Whoever owns it calls {@link refresh} every few seconds.
 *
 * With a limit or a silence set, each batch is judged first, and only as many of its orders are cancelled as are granted.
 * While the keeper of the state cannot be asked, nothing is granted: unknown is never "unpaid". Without them only a brake
 * that somebody has engaged by hand counts, and the last state that was known while the keeper is away.
 */
export class Brake {
  readonly #options: BrakeOptions
  #status: BrakeStatus | undefined
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
    const grant = await this.#grant(orderIds.size, decidedAt)
    const granted = new Set([...orderIds].slice(0, grant?.granted ?? 0))
    const isGranted = (index: number) => granted.has((checks[index] as Check).orderId)

    const allowed = due.filter(isGranted)
    if (grant && allowed.length > 0) {
      const done = await this.#cancelGranted(
        allowed.map((index) => checks[index] as Check),
        { ...grant, granted: granted.size },
      )
      for (const [n, index] of allowed.entries()) outcomes[index] = done[n] as Outcome
    }
    const held = due.filter((index) => !isGranted(index))
    for (const index of held) outcomes[index] = this.#postpone(outcomes[index] as Outcome)
    if (held.length > 0) this.#options.onHeld({ orders: held.length, status: this.#status })
    return outcomes
  }

  /** Reads the shared state. Resolves whatever is down. */
  async refresh(): Promise<void> {
    try {
      this.#learn(await this.#options.shared.status())
    } catch {
      // The last one that was known counts.
    }
  }

  /** By the last state that was known: whoever owns the brake refreshes it, so that no batch waits for that. */
  async #isEngaged(): Promise<boolean> {
    if (!this.#status) await this.refresh()
    return this.#status?.engaged ?? false
  }

  /** How many of `count` orders may be cancelled now; undefined: none. */
  async #grant(count: number, decidedAt: number): Promise<Grant | undefined> {
    const { shared, maxPerMinute, paymentSilenceMs, by } = this.#options
    this.#watchingSince ??= decidedAt
    try {
      if (await this.#isEngaged()) return undefined
      if (paymentSilenceMs !== undefined) {
        const lastSeen = (await this.#readNewestPayment()) ?? this.#watchingSince
        if (decidedAt - lastSeen > paymentSilenceMs) {
          this.#learn(await shared.engage('payment-silence', by))
          if (this.#status?.engaged) return undefined
        }
      }
      // Also without a limit: a brake engaged since the last look counts.
      const grant = await shared.reserve(count, maxPerMinute ?? Number.MAX_SAFE_INTEGER)
      this.#learn(grant.status)
      return grant
    } catch {
      return undefined
    }
  }

  async #readNewestPayment(): Promise<number | undefined> {
    const { store, clock, paymentSilenceMs = 0 } = this.#options
    const freshMs = Math.min(PAYMENT_FRESH_MAX_MS, paymentSilenceMs * PAYMENT_FRESH_SHARE)
    if (!this.#newestPayment || clock.monotonic() - this.#newestPayment.readAt > freshMs) {
      this.#newestPayment = { value: await store.newestPayment(), readAt: clock.monotonic() }
    }
    return this.#newestPayment.value
  }

  async #cancelGranted(checks: readonly Check[], grant: Grant): Promise<Outcome[]> {
    try {
      const done = await this.#options.store.cancelUnpaid(checks)
      await this.#giveBack(grant.granted - done.filter(({ kind }) => kind === 'cancelled').length, grant)
      return done
    } catch (error) {
      // What is tried again and again would otherwise use up the minute, and engage the brake though nothing is cancelled.
      if (ROLLED_BACK.includes(asOrderExpiryError(error).code)) await this.#giveBack(grant.granted, grant)
      throw error
    }
  }

  async #giveBack(count: number, grant: Grant): Promise<void> {
    if (count === 0) return
    await this.#options.shared.giveBack(count, grant).catch(() => {}) // then they count as cancelled
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
