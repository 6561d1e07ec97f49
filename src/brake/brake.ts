import { randomUUID } from 'node:crypto'
import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import { type Check, isPayable, type Outcome } from '../order/order.ts'
import type { CancelOptions, OrderStore } from '../order/store.ts'
import type { BrakeOptions } from './brake-options.ts'
import { ClosingLimit } from './closing-limit.ts'
import { PaymentSilence } from './payment-silence.ts'
import type { BrakeStatus } from './shared-brake.ts'

/** A check that is to cancel, and its place in the batch. */
interface Due {
  check: Check
  at: number
}

/** When to check a held-back order again: at random, so that they do not all come at once. */
const LOOK_AGAIN_MIN_MS = 10_000
const LOOK_AGAIN_MAX_MS = 30_000

/** How long the state is not asked for again after its keeper failed to answer. */
const AFTER_FAILURE_MS = 5_000
/** How old a grant may be when it is used: it counts in the minute after it was given, not in the minute of its use. */
const GRANT_FRESH_MS = 5_000

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
  readonly #silence: PaymentSilence | undefined
  readonly #closings: ClosingLimit

  constructor(options: BrakeOptions) {
    this.#options = options
    const { store, paymentSilenceMs: silenceMs, clock } = options
    this.#silence = silenceMs === undefined ? undefined : new PaymentSilence({ store, silenceMs, clock })
    this.#closings = new ClosingLimit({ clock })
  }

  get known(): BrakeStatus | undefined {
    return this.#unknown ? undefined : this.#status
  }

  /** Why nothing is cancelled, where it is not known whether the brake is engaged. */
  get unknown(): OrderExpiryError | undefined {
    return this.#unknown
  }

  /** {@link OrderStore.cancelUnpaid} as far as the brake allows; held-back orders are postponed with reason `brake`. */
  async cancelUnpaid(checks: readonly Check[], by: Pick<CancelOptions, 'by'> = {}): Promise<Outcome[]> {
    const { store } = this.#options
    if (!this.#isWatching && (await this.#isReleased())) return store.cancelUnpaid(checks, by)

    const outcomes = await this.#holdPayments(checks, await store.cancelUnpaid(checks, { dryRun: true }))
    const decidedAt = outcomes.find(({ kind }) => kind === 'cancelled')?.evidence.decidedAt
    if (decidedAt === undefined) return outcomes
    const due = checks.flatMap((check, at) => (outcomes[at]?.kind === 'cancelled' ? [{ check, at }] : []))
    const { done, rest, cause } = await this.#cancelDue(due, decidedAt, by)
    for (const { check, at } of due) if (done.has(at)) this.#closings.forget(check.orderId)
    if (rest.length > 0) {
      if (!cause) await this.#engageIfTooMany(rest.map(({ check }) => check))
      this.#tellHeld(rest.length, cause)
    }
    return outcomes.map((outcome, at) =>
      outcome.kind === 'cancelled' ? (done.get(at) ?? this.#postpone(outcome)) : outcome,
    )
  }

  /**
   * Cancels as many as are granted, in one or more steps: of orders that were granted and turn out not to be cancelled, such as
   * those that a trigger guards, the others of the batch get the places.
   *
   * @returns the outcomes by the place in the batch, and what is held back
   */
  async #cancelDue(
    due: readonly Due[],
    decidedAt: number,
    by: Pick<CancelOptions, 'by'>,
  ): Promise<{ done: Map<number, Outcome>; rest: readonly Due[]; cause?: string }> {
    const done = new Map<number, Outcome>()
    let rest = due
    try {
      while (rest.length > 0) {
        const ids = [...idsOf(rest.map(({ check }) => check))]
        const { id, granted, cause } = await this.#reserve(ids.length, decidedAt)
        if (granted === 0) return { done, rest, ...(cause && { cause }) }
        const allowedIds = new Set(ids.slice(0, granted))
        const allowed = rest.filter(({ check }) => allowedIds.has(check.orderId))
        const checks = allowed.map(({ check }) => check)
        const outcomes = await this.#cancelGranted(checks, id, by)
        for (const [n, { at }] of allowed.entries()) done.set(at, outcomes[n] as Outcome)
        rest = rest.filter(({ check }) => !allowedIds.has(check.orderId))
        if (outcomes.filter(({ kind }) => kind === 'cancelled').length >= allowedIds.size) break
      }
      return { done, rest }
    } catch (error) {
      if (done.size === 0) throw error
      // What has been cancelled before is to be told of.
      return { done, rest, cause: asOrderExpiryError(error).message }
    }
  }

  /** A payment that is closed cannot be made any more: none is closed of an order that may not be cancelled now. */
  async #holdPayments(checks: readonly Check[], outcomes: readonly Outcome[]): Promise<Outcome[]> {
    const payable = checks.filter((_, n) => isPayable(outcomes[n] as Outcome))
    const decidedAt = outcomes.find(isPayable)?.evidence.decidedAt
    if (decidedAt === undefined) return [...outcomes]
    const allowed = await this.#mayClose(idsOf(payable), decidedAt)
    const held = payable.filter(({ orderId }) => !allowed.has(orderId))
    if (held.length > 0) this.#tellHeld(held.length, this.#unknown && causeOf(this.#unknown))
    return outcomes.map((outcome, n) =>
      isPayable(outcome) && !allowed.has((checks[n] as Check).orderId) ? this.#postpone(outcome) : outcome,
    )
  }

  /** Those of the orders whose payments may be closed: no more than may be cancelled in this minute. */
  async #mayClose(ids: ReadonlySet<string>, decidedAt: number): Promise<ReadonlySet<string>> {
    const { shared, maxPerMinute, by } = this.#options
    const none = new Set<string>()
    try {
      if (await this.#silence?.isTooLong(decidedAt)) this.#learn(await shared.engage('payment-silence', by))
      if (!(await this.#isReleased())) return none
      if (maxPerMinute === undefined) return ids
      return this.#closings.admit(ids, maxPerMinute - (await shared.countUsed()))
    } catch (error) {
      if (isRefusal(error)) this.#fail(error)
      return none
    }
  }

  get #isWatching(): boolean {
    const { maxPerMinute, paymentSilenceMs } = this.#options
    return maxPerMinute !== undefined || paymentSilenceMs !== undefined
  }

  async #isReleased(): Promise<boolean> {
    await this.#look()
    return this.known?.engaged === false
  }

  /** Nobody waits for a keeper that did not answer when it was last asked, where its last known state counts meanwhile. */
  async #look(): Promise<void> {
    if (this.#options.clock.monotonic() - this.#triedInVainAt <= AFTER_FAILURE_MS) return
    const refreshed = this.refresh()
    if (this.#triedInVainAt === Number.NEGATIVE_INFINITY || !this.known) await refreshed
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
    this.#silence?.watch(decidedAt)
    // If the brake was last released, the reservation itself shows whether it is engaged now.
    if (this.known?.engaged !== false) await this.#look()
    if (this.known?.engaged) return nothing
    if (this.#unknown && !this.#isWatching) return { ...nothing, cause: causeOf(this.#unknown) }
    const isSilent = await this.#silence?.isTooLong(decidedAt)
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

  async #cancelGranted(checks: readonly Check[], id: string, by: Pick<CancelOptions, 'by'>): Promise<Outcome[]> {
    try {
      const done = await this.#options.store.cancelUnpaid(checks, by)
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

  /**
   * Only cancellations that have been made engage it: others may hold grants for these very orders, or for some that turn out
   * not to be cancelled.
   */
  async #engageIfTooMany(held: readonly Check[]): Promise<void> {
    const { shared, maxPerMinute } = this.#options
    if (maxPerMinute === undefined || this.#status?.engaged) return
    try {
      if ((await shared.countUsed()) < maxPerMinute || (await this.#countDue(held)) === 0) return
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
    const isEngagedAnew = before?.engaged && status.engaged && before.since !== status.since
    if ((before?.engaged !== status.engaged && (before || status.engaged)) || isEngagedAnew)
      this.#options.onChange(status)
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
