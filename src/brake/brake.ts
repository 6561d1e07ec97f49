import { randomUUID } from 'node:crypto'
import { asOrderExpiryError, blameOf, OrderExpiryError } from '../errors.ts'
import type { Check, Outcome } from '../order/order.ts'
import type { OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import type { BrakeReason, BrakeStatus, SharedBrake } from './shared-brake.ts'

/** Orders that would have been cancelled. */
export interface Held {
  orders: number
  /** `unknown`: it is not known whether the brake is engaged, or how many orders may be cancelled. */
  reason: BrakeReason | 'unknown'
  /** Why it is not known, for people. */
  cause?: string
}

/** When to check a held-back order again: at random, so that they do not all come at once. */
const LOOK_AGAIN_MIN_MS = 10_000
const LOOK_AGAIN_MAX_MS = 30_000

/** How long the newest payment read still counts as the newest: a share of the silence, but at most this. */
const PAYMENT_FRESH_SHARE = 0.05
const PAYMENT_FRESH_MAX_MS = 60_000

/** How long the state is not asked for again after its keeper failed to answer. */
const AFTER_FAILURE_MS = 5_000
/** How old a grant may be when it is used: it counts in the minute after it was given, not in the minute of its use. */
const GRANT_FRESH_MS = 5_000

export interface BrakeOptions {
  store: OrderStore
  shared: SharedBrake
  /** Cancellations in any minute, over all processes; undefined: no limit. */
  maxPerMinute: number | undefined
  /** How long payments may be absent while orders fall due; undefined: for ever. */
  paymentSilenceMs: number | undefined
  /** Who engages it, for people: `host:pid`. */
  by: string
  onChange: (status: BrakeStatus) => void
  /** It has become unknown whether it is engaged: nothing is cancelled until `onKnown`. */
  onUnknown: (error: OrderExpiryError) => void
  /** The state has become known, if `onUnknown` was called before. */
  onKnown: (status: BrakeStatus) => void
  onHeld: (held: Held) => void
  clock: Clock
  random?: () => number
}

/**
 * The mass-cancel brake: when the payment feed dies, every order looks unpaid, and few of them may be cancelled wrongly. Each
 * batch asks for the state, so that somebody who engages the brake by hand stops the very next batch.
 *
 * With a limit or a silence set, each batch is first run dry, and only as many of its orders are cancelled as are granted.
 * While the keeper of the state does not answer, nothing is granted: unknown is never "unpaid". Without either, only a brake
 * that somebody engages by hand counts; while the keeper is away, its last known state does.
 *
 * Until the state has been read once, nothing is cancelled. Nor is anything while the keeper answers that it does not tell
 * (REDIS_REFUSED): such a refusal does not pass by itself, and whoever engages the brake could not stop this process.
 */
export class Brake {
  readonly #options: BrakeOptions
  #status: BrakeStatus | undefined
  /** When the keeper of the state last failed to answer. */
  #triedInVainAt = Number.NEGATIVE_INFINITY
  /** Why it is not known whether it is engaged. */
  #unknown: OrderExpiryError | undefined
  #refreshing: Promise<void> | undefined
  /** When, by the store's clock, the first order fell due here: silence is counted from then on. */
  #watchingSince: number | undefined
  #newestPayment: { value: number | undefined; readAt: number } | undefined

  constructor(options: BrakeOptions) {
    this.#options = options
  }

  get known(): BrakeStatus | undefined {
    return this.#unknown ? undefined : this.#status
  }

  /** Why nothing is cancelled, where it is not known whether the brake is engaged. */
  get unknown(): OrderExpiryError | undefined {
    return this.#unknown
  }

  /** {@link OrderStore.cancelUnpaid} as far as the brake allows; held-back orders are postponed with reason `brake`. */
  async cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> {
    const { store } = this.#options
    if (!this.#isWatching && (await this.#isReleased())) return store.cancelUnpaid(checks)

    const outcomes = await store.cancelUnpaid(checks, { dryRun: true })
    const decidedAt = outcomes.find(({ kind }) => kind === 'cancelled')?.evidence.decidedAt
    if (decidedAt === undefined) return outcomes
    const due = checks.filter((_, index) => outcomes[index]?.kind === 'cancelled')
    const dueIds = [...idsOf(due)]
    const { id, granted, cause } = await this.#reserve(dueIds.length, decidedAt)

    const allowedIds = new Set(dueIds.slice(0, granted))
    const allowed = due.filter(({ orderId }) => allowedIds.has(orderId))
    const done = allowed.length > 0 ? await this.#cancelGranted(allowed, id) : []
    if (allowed.length < due.length) {
      if (!cause) await this.#engageIfTooMany(checks)
      this.#tellHeld(due.length - allowed.length, cause)
    }
    const rest = done.values()
    return outcomes.map((outcome, index) => {
      if (outcome.kind !== 'cancelled') return outcome
      return allowedIds.has((checks[index] as Check).orderId) ? (rest.next().value as Outcome) : this.#postpone(outcome)
    })
  }

  get #isWatching(): boolean {
    const { maxPerMinute, paymentSilenceMs } = this.#options
    return maxPerMinute !== undefined || paymentSilenceMs !== undefined
  }

  async #isReleased(): Promise<boolean> {
    await this.#look()
    return this.known?.engaged === false
  }

  async #look(): Promise<void> {
    if (this.#options.clock.monotonic() - this.#triedInVainAt > AFTER_FAILURE_MS) await this.refresh()
  }

  /** Reads the shared state. Resolves whatever is down. */
  refresh(): Promise<void> {
    const { shared } = this.#options
    this.#refreshing ??= shared
      .status()
      .then(
        (status) => this.#learn(status),
        (error) => this.#fail(error),
      )
      .finally(() => {
        this.#refreshing = undefined
      })
    return this.#refreshing
  }

  /** How many of `count` orders may be cancelled now. Rejects if the store cannot be asked for the newest payment. */
  async #reserve(count: number, decidedAt: number): Promise<{ id: string; granted: number; cause?: string }> {
    const { shared, maxPerMinute, by, clock } = this.#options
    const id = randomUUID()
    const nothing = { id, granted: 0 }
    this.#watchingSince ??= decidedAt
    // If the brake was last released, the reservation itself shows whether it is engaged now.
    if (this.known?.engaged !== false) await this.#look()
    if (this.known?.engaged) return nothing
    if (this.#unknown && !this.#isWatching) return { ...nothing, cause: causeOf(this.#unknown) }
    const isSilent = await this.#isSilent(decidedAt)
    const askedAt = clock.monotonic()
    let cause = 'the grant came too late to be used'
    try {
      if (isSilent) {
        this.#learn(await shared.engage('payment-silence', by))
        if (this.#status?.engaged) return nothing
      }
      // Even without a limit: the brake may have been engaged since the last look.
      const { granted, status } = await shared.reserve(id, count, maxPerMinute ?? Number.MAX_SAFE_INTEGER)
      this.#learn(status)
      if (clock.monotonic() - askedAt <= GRANT_FRESH_MS) return { id, granted }
    } catch (error) {
      cause = causeOf(error)
      if (isRefusal(error)) this.#fail(error)
    }
    // It may have been counted. Nobody waits for a keeper that has just failed to answer.
    void this.#use(id, 0)
    return { ...nothing, cause }
  }

  async #isSilent(decidedAt: number): Promise<boolean> {
    const { paymentSilenceMs, clock } = this.#options
    if (paymentSilenceMs === undefined) return false
    const freshMs = Math.min(PAYMENT_FRESH_MAX_MS, paymentSilenceMs * PAYMENT_FRESH_SHARE)
    if (!this.#newestPayment || clock.monotonic() - this.#newestPayment.readAt > freshMs) {
      this.#newestPayment = { value: await this.#readNewestPayment(), readAt: clock.monotonic() }
    }
    const lastSeen = this.#newestPayment.value ?? (this.#watchingSince as number)
    return decidedAt - lastSeen > paymentSilenceMs
  }

  async #readNewestPayment(): Promise<number | undefined> {
    try {
      return await this.#options.store.newestPayment()
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      // No order of the batch is to blame: no part of it would fare better.
      const code = blameOf(error) === 'lock' ? error.code : 'STORE_UNAVAILABLE'
      const message = `the newest payment cannot be read (BRAKE_PAYMENT_SILENCE): ${error.message}`
      throw new OrderExpiryError(code, message, { cause })
    }
  }

  async #cancelGranted(checks: readonly Check[], id: string): Promise<Outcome[]> {
    try {
      const done = await this.#options.store.cancelUnpaid(checks)
      await this.#use(id, done.filter(({ kind }) => kind === 'cancelled').length)
      return done
    } catch (error) {
      // A batch that is tried again and again would use up the minute, and engage the brake though nothing is cancelled.
      // Not every store rolls back all of a batch that it rejects, so what is still unpaid is counted anew: unless the store
      // may still be working on it.
      if (!['STORE_UNAVAILABLE', 'UNEXPECTED'].includes(asOrderExpiryError(error).code)) {
        const due = await this.#countDue(checks).catch(() => undefined)
        if (due !== undefined) await this.#use(id, idsOf(checks).size - due)
      }
      throw error
    }
  }

  /** Others may hold grants for these very orders, so it counts those cancelled and those still due. */
  async #engageIfTooMany(checks: readonly Check[]): Promise<void> {
    const { shared, maxPerMinute } = this.#options
    if (maxPerMinute === undefined || this.#status?.engaged) return
    try {
      if ((await shared.countUsed()) + (await this.#countDue(checks)) <= maxPerMinute) return
      this.#learn(await shared.engage('limit', `more than ${maxPerMinute} cancellations in a minute`))
    } catch {
      // The limit still holds, and the next batch tries again.
    }
  }

  async #countDue(checks: readonly Check[]): Promise<number> {
    const outcomes = await this.#options.store.cancelUnpaid(checks, { dryRun: true })
    return idsOf(checks.filter((_, index) => outcomes[index]?.kind === 'cancelled')).size
  }

  async #use(id: string, used: number): Promise<void> {
    await this.#options.shared.use(id, used).catch(() => {}) // then they count as cancelled
  }

  #postpone({ evidence }: Outcome): Outcome {
    const { random = Math.random } = this.#options
    const afterMs = LOOK_AGAIN_MIN_MS + Math.round(random() * (LOOK_AGAIN_MAX_MS - LOOK_AGAIN_MIN_MS))
    return { kind: 'postponed', until: evidence.decidedAt + afterMs, reason: 'brake', evidence }
  }

  #tellHeld(orders: number, why: string | undefined): void {
    const { engaged = false, reason } = this.#status ?? {}
    const cause = why ?? (engaged ? undefined : 'the rest of the limit is currently granted to others')
    this.#options.onHeld({ orders, reason: (!cause && reason) || 'unknown', ...(cause && { cause }) })
  }

  #learn(status: BrakeStatus): void {
    const before = this.#status
    const wasUnknown = this.#unknown !== undefined
    this.#status = status
    this.#unknown = undefined
    this.#triedInVainAt = Number.NEGATIVE_INFINITY
    if (wasUnknown) this.#options.onKnown(status)
    if (before?.engaged !== status.engaged && (before || status.engaged)) this.#options.onChange(status)
  }

  #fail(error: unknown): void {
    this.#triedInVainAt = this.#options.clock.monotonic()
    if (this.#status && !isRefusal(error)) return // an outage: the last known state counts
    const wasKnown = this.#unknown === undefined
    this.#unknown = asOrderExpiryError(error)
    if (wasKnown) this.#options.onUnknown(this.#unknown)
  }
}

/** The keeper of the state answers, but does not tell it. */
function isRefusal(error: unknown): boolean {
  return asOrderExpiryError(error).code === 'REDIS_REFUSED'
}

function causeOf(error: unknown): string {
  return `its state is not known: ${asOrderExpiryError(error).message}`
}

/** An order may be in a batch twice, but is cancelled once. */
function idsOf(checks: readonly Check[]): Set<string> {
  return new Set(checks.map(({ orderId }) => orderId))
}
