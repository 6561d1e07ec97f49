import { createHash } from 'node:crypto'
import { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { backoffMs } from '../runtime/retry.ts'
import type { Turns } from './closing-turns.ts'
import type { Check, Outcome } from './order.ts'
import type { Payment, PaymentGateway, Verdict } from './payment-gateway.ts'
import type { CancelOptions } from './store.ts'

/** Closings in flight at once: gateways have as many connections, and waiting for one counts as waiting for the provider. */
const MOST_IN_FLIGHT = 64
/** Whoever's turn comes within this time waits for it here; others come back for it. */
const WAIT_FOR_TURN_MS = 1_000
/** Payments remembered. Where there are more, one is forgotten whose time to be asked about has come, or the others wait. */
const MOST_REMEMBERED = 100_000
/** Until a payment is asked about again that was found paid, one that is given up, and whatever the provider says. */
const FOUND_AGAIN_MS = 3_600_000
const GIVEN_UP_AGAIN_MS = 300_000
const LATEST_AGAIN_MS = 3_600_000
/** The same where the provider does not say when: it takes its time, or gave no verdict at all. */
const AGAIN = { baseMs: 2_000, capMs: 60_000 }
/** Those who come back together spread over this time. */
const JITTER_MS = 2_000
/** Calls in a row that the provider did not answer, after which it is left alone, and for how long. */
const BREAKER_THRESHOLD = 5
const REST = { baseMs: 1_000, capMs: 30_000 }

type Payable = Extract<Outcome, { reason: 'payment' }>

/** What is known of the payment of an order. Times are of the monotonic clock. */
interface Known {
  reference: string
  verdict: Verdict
  /** Times that it was asked about, or was to be, without a verdict that decides. */
  attempts: number
  /** When the provider first gave a verdict; undefined: it has not. */
  answeredAt?: number
  againAt: number
  closing?: Promise<void> | undefined
}

/** A verdict about the payment of an order, for logs and metrics. */
export interface PaymentVerdict {
  orderId: string
  payment: Payment
  verdict: Verdict
  tookMs: number
}

/** A payment that was made, of an order that says nothing of it. Times are epoch milliseconds by the order store's clock. */
export interface FoundPayment {
  orderId: string
  deadline: number
  at: number
  payment: Payment
  verdict: 'paid' | 'authorised'
}

export interface ClosingsOptions {
  gateway: PaymentGateway
  turns: Turns
  /** How long after the deadline a payment that is neither made nor closed keeps its order waiting. */
  graceMs: number
  /** Whether an order is cancelled whose payment the provider cannot close: the shop's capture looks at the order first. */
  captureChecksOrder: boolean
  /** Told of each verdict. */
  onVerdict: (verdict: PaymentVerdict) => void
  /** A payment was made, and its order says nothing of that. Told again, with the same order and payment, until it resolves. */
  onFound: (found: FoundPayment) => Promise<void>
  clock: Clock
  random?: () => number
}

/**
 * Closes the payment of each order that is to be cancelled, at its provider and before: nobody can pay it afterwards. Other
 * orders do not wait for that. What is known of a payment is this process' own; another one asks again, which changes nothing.
 */
export class Closings {
  readonly #options: ClosingsOptions
  /** By order id, in the order in which they were first asked about. */
  readonly #known = new Map<string, Known>()
  #inFlight = 0
  /** When the next one may come that found no room, by the monotonic clock, and how long a closing takes. */
  #nextRoomAt = 0
  #tookMs = 100
  /** Calls in a row that the provider did not answer, and until when nobody calls. */
  #unanswered = 0
  #rests = 0
  #restUntil = 0

  constructor(options: ClosingsOptions) {
    this.#options = options
  }

  /** {@link OrderStore.cancelUnpaid} that begins to close what it finds payable, and says what follows from what is known. */
  guard(cancelUnpaid: (checks: readonly Check[], options?: CancelOptions) => Promise<Outcome[]>): typeof cancelUnpaid {
    return async (checks, options) => {
      const outcomes = await cancelUnpaid(
        checks.map((check) => this.#withClosed(check)),
        options,
      )
      return outcomes.map((outcome, n) => this.#decide(checks[n] as Check, outcome))
    }
  }

  #withClosed(check: Check): Check {
    const known = this.#known.get(check.orderId)
    return known && this.#isClosed(known.verdict) ? { ...check, closed: known.reference } : check
  }

  #isClosed({ kind }: Verdict): boolean {
    return kind === 'closed' || (kind === 'cannot-close' && this.#options.captureChecksOrder)
  }

  #decide(check: Check, outcome: Outcome): Outcome {
    if (outcome.kind !== 'postponed') {
      this.#known.delete(check.orderId)
      return outcome
    }
    if (outcome.reason !== 'payment') return outcome
    const { clock } = this.#options
    const { payment, evidence } = outcome
    const known = this.#knownOf(check.orderId, payment)
    if (!known) return outcome
    const now = clock.monotonic()
    if (this.#isClosed(known.verdict)) return { ...outcome, until: evidence.decidedAt + 1 } // since the store was asked
    if (!known.closing && now >= known.againAt) this.#begin(known, { check, outcome })
    const { kind } = known.verdict
    if (kind === 'paid' || kind === 'authorised') {
      return { kind: 'kept', status: evidence.status ?? '', evidence: { ...evidence, paid: true } }
    }
    if (known.closing) return { ...outcome, closed: known.closing }
    const lateMs = evidence.decidedAt - (evidence.deadline ?? check.deadline)
    const graceMs = this.#graceLeftMs(known, lateMs)
    if (graceMs < 0) return { kind: 'rejected', error: unsettled(known.verdict, lateMs), evidence }
    const againMs = Math.min(known.againAt - now, graceMs + 1)
    return { ...outcome, until: Math.ceil(evidence.decidedAt + Math.max(1, againMs)) }
  }

  /** How long a verdict that decides nothing is still waited for. What is asked about late has all of the time from its first verdict. */
  #graceLeftMs({ verdict, answeredAt }: Known, lateMs: number): number {
    const { graceMs, clock } = this.#options
    if (verdict.kind === 'unknown' || answeredAt === undefined) return Number.POSITIVE_INFINITY
    return graceMs - Math.min(lateMs, clock.monotonic() - answeredAt)
  }

  /** Undefined: there is no room to remember it. */
  #knownOf(orderId: string, { reference }: Payment): Known | undefined {
    const known = this.#known.get(orderId)
    if (known?.reference === reference) return known
    this.#known.delete(orderId)
    if (this.#known.size >= MOST_REMEMBERED) {
      const [[oldestId, oldest] = []] = this.#known
      if (oldestId === undefined || !oldest || oldest.closing || oldest.againAt > this.#options.clock.monotonic())
        return undefined
      this.#known.delete(oldestId)
    }
    const fresh: Known = { reference, verdict: { kind: 'unknown' }, attempts: 0, againAt: 0 }
    this.#known.set(orderId, fresh)
    return fresh
  }

  /** Closes it in the background, if there is room and nobody has to rest; else says when to come back. */
  #begin(known: Known, asked: { check: Check; outcome: Payable }): void {
    const { clock, random = Math.random } = this.#options
    const now = clock.monotonic()
    const isDoubtful = this.#unanswered >= BREAKER_THRESHOLD && this.#inFlight > 0
    if (now < this.#restUntil || isDoubtful) {
      known.attempts++
      const backoff = backoffMs({ attempt: known.attempts, ...AGAIN, random })
      known.againAt = Math.max(now + backoff, this.#restUntil + random() * JITTER_MS)
      return
    }
    if (this.#inFlight >= MOST_IN_FLIGHT) {
      this.#nextRoomAt = Math.max(now, this.#nextRoomAt) + this.#tookMs / MOST_IN_FLIGHT
      known.againAt = this.#nextRoomAt
      return
    }
    this.#inFlight++
    const failed = () => {
      known.againAt = clock.monotonic() + AGAIN.baseMs
    }
    known.closing = this.#close(known, asked)
      .catch(failed)
      .finally(() => {
        this.#inFlight--
        known.closing = undefined
      })
  }

  async #close(known: Known, { check, outcome }: { check: Check; outcome: Payable }): Promise<void> {
    const { gateway, turns, onVerdict, clock } = this.#options
    const { orderId } = check
    const { payment, evidence } = outcome
    const turnMs = await turns.take(orderId)
    if (turnMs > WAIT_FOR_TURN_MS) {
      known.againAt = clock.monotonic() + turnMs
      return
    }
    if (turnMs > 0) await clock.sleep(turnMs)
    const startedAt = clock.monotonic()
    const deadline = evidence.deadline ?? check.deadline
    const verdict = await gateway.close({ orderId, payment, deadline, idempotencyKey: keyOf(orderId, payment) })
    const tookMs = clock.monotonic() - startedAt
    this.#tookMs += (tookMs - this.#tookMs) / 16
    onVerdict({ orderId, payment, verdict, tookMs })
    this.#noteAnswer(verdict)
    await this.#learn(known, { check, outcome, verdict })
  }

  async #learn(
    known: Known,
    { check, outcome, verdict }: { check: Check; outcome: Payable; verdict: Verdict },
  ): Promise<void> {
    const { onFound, clock, random } = this.#options
    const { payment, evidence } = outcome
    const { orderId } = check
    const { deadline = check.deadline } = evidence
    const { kind } = verdict
    known.attempts++
    if (kind === 'paid' || kind === 'authorised') {
      const found = { orderId, deadline, at: evidence.decidedAt, payment, verdict: kind } as const
      known.againAt = clock.monotonic() + AGAIN.baseMs
      await onFound(found) // without its event, nobody would learn of the money: then it is as if nobody had answered
      known.againAt = clock.monotonic() + FOUND_AGAIN_MS
    }
    known.verdict = verdict
    if (kind !== 'unknown') known.answeredAt ??= clock.monotonic()
    if (this.#isClosed(verdict)) {
      known.againAt = 0
      return
    }
    const now = clock.monotonic()
    if (kind === 'paid' || kind === 'authorised') return
    const asked = 'retryAfterMs' in verdict ? verdict.retryAfterMs : undefined
    const isGivenUp = this.#graceLeftMs(known, evidence.decidedAt - deadline) < 0
    const usualMs = backoffMs({ attempt: known.attempts, ...AGAIN, ...(random && { random }) })
    const againMs = Math.max(asked ?? usualMs, isGivenUp ? GIVEN_UP_AGAIN_MS : 0)
    known.againAt = now + Math.min(againMs, LATEST_AGAIN_MS)
  }

  /** A provider that does not answer is left alone for a while; one call then shows whether it does again. */
  #noteAnswer(verdict: Verdict): void {
    const { clock, random } = this.#options
    const isUnanswered = verdict.kind === 'unknown' && !verdict.isThere
    this.#unanswered = isUnanswered ? this.#unanswered + 1 : 0
    if (!isUnanswered) this.#rests = 0
    const now = clock.monotonic()
    if (this.#unanswered < BREAKER_THRESHOLD || now < this.#restUntil) return
    this.#restUntil = now + backoffMs({ attempt: ++this.#rests, ...REST, ...(random && { random }) })
  }
}

/** The same however often, by whatever process and with whatever characters an order is called. */
function keyOf(orderId: string, { reference }: Payment): string {
  return `order-expiry-${createHash('sha256').update(`${orderId}\n${reference}`).digest('hex').slice(0, 40)}`
}

function unsettled(verdict: Verdict, lateMs: number): OrderExpiryError {
  const { kind, detail } = verdict
  const given = `the provider says "${kind}"${detail ? ` (${detail})` : ''} ${Math.round(lateMs / 1_000)} s after the deadline`
  const message = `expected the payment to be made or closed by then, ${given}; look at it there, then retry the check`
  return new OrderExpiryError('PAYMENT_UNSETTLED', message)
}
