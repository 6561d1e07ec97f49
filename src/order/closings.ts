import { createHash } from 'node:crypto'
import { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { backoffMs } from '../runtime/retry.ts'
import type { Turns } from './closing-turns.ts'
import type { Check, Outcome } from './order.ts'
import type { Payment, PaymentGateway, Verdict } from './payment-gateway.ts'
import type { CancelOptions } from './store.ts'

/** Closings in flight at once, each of which is a call of the provider. */
const MOST_IN_FLIGHT = 256
/** Whoever's turn comes within this time waits for it here; others come back for it. */
const WAIT_FOR_TURN_MS = 1_000
/** Payments remembered; the one that was asked about first is forgotten first, and asked about again. */
const MOST_REMEMBERED = 100_000
/** Until a payment is asked about again that was found paid, and one that is given up. */
const FOUND_AGAIN_MS = 3_600_000
const GIVEN_UP_AGAIN_MS = 300_000
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
  /** Calls without a verdict that decides. */
  attempts: number
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
    let known = this.#known.get(check.orderId)
    if (known?.reference !== payment.reference) {
      known = { reference: payment.reference, verdict: { kind: 'unknown' }, attempts: 0, againAt: 0 }
      this.#remember(check.orderId, known)
    }
    if (!known.closing && clock.monotonic() >= known.againAt) this.#begin(known, { check, outcome })
    const { kind } = known.verdict
    if (kind === 'paid' || kind === 'authorised') {
      return { kind: 'kept', status: evidence.status ?? '', evidence: { ...evidence, paid: true } }
    }
    if (known.closing) return { ...outcome, closed: known.closing }
    const lateMs = evidence.decidedAt - (evidence.deadline ?? check.deadline)
    if (kind !== 'unknown' && lateMs > this.#options.graceMs) {
      return { kind: 'rejected', error: unsettled(known.verdict, lateMs), evidence }
    }
    return { ...outcome, until: Math.ceil(evidence.decidedAt + Math.max(1, known.againAt - clock.monotonic())) }
  }

  #remember(orderId: string, known: Known): void {
    this.#known.delete(orderId)
    this.#known.set(orderId, known)
    if (this.#known.size <= MOST_REMEMBERED) return
    const [oldest] = this.#known.keys()
    this.#known.delete(oldest as string)
  }

  /** Closes it in the background, if there is room and nobody has to rest; else says when to come back. */
  #begin(known: Known, asked: { check: Check; outcome: Payable }): void {
    const { clock, random = Math.random } = this.#options
    const now = clock.monotonic()
    const isDoubtful = this.#unanswered >= BREAKER_THRESHOLD && this.#inFlight > 0
    if (now < this.#restUntil || isDoubtful) {
      known.againAt = Math.max(now, this.#restUntil) + random() * JITTER_MS
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
    const { onFound, graceMs, clock, random } = this.#options
    const { payment, evidence } = outcome
    const { orderId } = check
    const { deadline = check.deadline } = evidence
    const { kind } = verdict
    known.verdict = verdict
    known.attempts++
    if (this.#isClosed(verdict)) {
      known.againAt = 0
      return
    }
    const now = clock.monotonic()
    if (kind === 'paid' || kind === 'authorised') {
      known.againAt = now + FOUND_AGAIN_MS
      await onFound({ orderId, deadline, at: evidence.decidedAt, payment, verdict: kind }).catch(() => {
        // Without its event, nobody would learn of the money.
        known.verdict = { kind: 'unknown' }
        known.againAt = now + AGAIN.baseMs
      })
      return
    }
    const asked = 'retryAfterMs' in verdict ? verdict.retryAfterMs : undefined
    const isGivenUp = kind !== 'unknown' && evidence.decidedAt - deadline > graceMs
    const usualMs = backoffMs({ attempt: known.attempts, ...AGAIN, ...(random && { random }) })
    known.againAt = now + Math.max(asked ?? usualMs, isGivenUp ? GIVEN_UP_AGAIN_MS : 0)
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
