import { createHash } from 'node:crypto'
import type Stripe from 'stripe'
import { OrderExpiryError } from '../../errors.ts'
import { errorCode } from '../../observe/events.ts'
import type { Closing, PaymentGateway, Verdict } from '../../order/payment-gateway.ts'
import { type Closed, closePayment, type State } from '../close-payment.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { ANSWER_TIMEOUT_MS, Provider, shorten, type Unknown } from '../provider.ts'
import { httpClientOver } from './http-client.ts'
import type { StripeSettings } from './settings.ts'
import { intentState, sessionState } from './states.ts'

/** Stripe answers a key of idempotency as it did the first time, with an error too: for as long, a second call is the same one. */
const SAME_CALL_MS = 60_000

/**
 * Cancels PaymentIntents (`pi_…`) and expires Checkout Sessions (`cs_…`), with the SDK, which is installed beside the daemon.
 *
 * @throws {OrderExpiryError} INVALID_SETTINGS: it is not installed
 */
export async function openStripe(settings: StripeSettings, options: GatewayOptions): Promise<PaymentGateway> {
  const { STRIPE_API_KEY: key, STRIPE_API_URL } = settings
  if (!key) throw new OrderExpiryError('INVALID_SETTINGS', 'STRIPE_API_KEY: expected, given none')
  const StripeSdk = await loadSdk()
  const url = new URL(STRIPE_API_URL)
  const provider = new Provider(url, options)
  const stripe = new StripeSdk(key, {
    httpClient: httpClientOver(provider),
    timeout: ANSWER_TIMEOUT_MS,
    maxNetworkRetries: 0,
    telemetry: false,
    appInfo: { name: 'order-expiry', version: options.version },
  })
  const payments = new StripePayments(stripe, provider, options)
  return { name: 'stripe', close: (closing) => payments.close(closing), dispose: () => provider.close() }
}

async function loadSdk(): Promise<typeof Stripe> {
  try {
    return (await import('stripe')).default
  } catch (cause) {
    const what =
      'PAYMENT_GATEWAY: expected with stripe that its SDK is installed beside the daemon: npm install stripe@23'
    throw new OrderExpiryError('INVALID_SETTINGS', what, { cause })
  }
}

class StripePayments {
  readonly #stripe: Stripe
  readonly #provider: Provider
  readonly #options: GatewayOptions

  constructor(stripe: Stripe, provider: Provider, options: GatewayOptions) {
    this.#stripe = stripe
    this.#provider = provider
    this.#options = options
  }

  async close(closing: Closing): Promise<Verdict> {
    const { reference } = closing.payment
    // What a browser is given to pay with, pi_…_secret_…, names the payment too, but must not be passed on.
    const [, prefix] = /^(pi|cs)_(?!.*_secret_)\w+$/.exec(reference) ?? []
    if (prefix === 'pi') return closePayment(() => this.#readIntent(reference, closing))
    if (prefix === 'cs') return closePayment(() => this.#readSession(reference, closing))
    return { kind: 'unknown', isThere: true, detail: 'expected a reference pi_… or cs_…, given another' }
  }

  async #readIntent(id: string, closing: Closing): Promise<State> {
    try {
      const intent = await this.#stripe.paymentIntents.retrieve(id)
      const detail = shorten(`PaymentIntent ${intent.status}`)
      const kind = intent.id === id ? intentState(intent) : undefined
      return this.#stateOf(kind, detail, () => this.#cancel(id, intent.status, closing))
    } catch (error) {
      return this.#unknown(error)
    }
  }

  async #readSession(id: string, closing: Closing): Promise<State> {
    try {
      const session = await this.#stripe.checkout.sessions.retrieve(id, { expand: ['payment_intent'] })
      const { status, payment_status, payment_intent } = session
      const intent = typeof payment_intent === 'object' ? payment_intent : null
      const detail = shorten(`Checkout Session ${[status, payment_status, intent?.status].filter(Boolean).join(', ')}`)
      const kind = session.id === id ? sessionState(session, intent) : undefined
      if (kind === 'unconfirmed') return { kind: 'cannot-close', detail }
      const close = () =>
        kind === 'open' ? this.#expire(id, closing) : this.#cancel(intent?.id ?? id, 'session', closing)
      return this.#stateOf(kind, detail, close)
    } catch (error) {
      return this.#unknown(error)
    }
  }

  #stateOf(kind: ReturnType<typeof intentState>, detail: string, close: () => Promise<Closed>): State {
    if (kind === undefined) return { kind: 'unknown', isThere: true, detail }
    const isClosed = kind === 'open' || (kind === 'authorised' && this.#options.voidAuthorised)
    return isClosed ? { kind: 'open', detail, close } : { kind, detail }
  }

  #cancel(id: string, status: string, closing: Closing): Promise<Closed> {
    return this.#closed('canceled', () =>
      this.#stripe.paymentIntents.cancel(
        id,
        { cancellation_reason: 'abandoned' },
        { idempotencyKey: this.#keyOf(closing, `cancel ${status}`) },
      ),
    )
  }

  #expire(id: string, closing: Closing): Promise<Closed> {
    return this.#closed('expired', () =>
      this.#stripe.checkout.sessions.expire(id, {}, { idempotencyKey: this.#keyOf(closing, 'expire') }),
    )
  }

  async #closed(expected: string, call: () => Promise<{ status: string | null }>): Promise<Closed> {
    try {
      const { status } = await call()
      const detail = shorten(`is ${status}`)
      return status === expected ? { kind: 'closed', detail } : { kind: 'refused', detail }
    } catch (error) {
      const failure = this.#unknown(error)
      return failure.isThere ? { kind: 'refused', detail: String(failure.detail) } : failure
    }
  }

  /** The same for an answer that was lost; another one once the payment is in another status, or some time has passed. */
  #keyOf({ idempotencyKey, payment }: Closing, what: string): string {
    const period = Math.floor(this.#options.clock.now() / SAME_CALL_MS)
    return createHash('sha256').update([idempotencyKey, payment.reference, what, period].join('\n')).digest('hex')
  }

  /** An error of the SDK's. Its message may have a part of the key in it, so it is not passed on. */
  #unknown(error: unknown): Unknown {
    const { statusCode, headers, code, rawType, detail } = error as Partial<Stripe.errors.StripeError>
    if (statusCode !== undefined)
      return this.#provider.unknown({ status: statusCode, headers: headers ?? {} }, code ?? rawType)
    const { cause } = (detail ?? {}) as { cause?: unknown }
    if (cause instanceof Error) return { kind: 'unknown', detail: `no answer (${errorCode(cause)})` }
    return { kind: 'unknown', detail: 'answered with no JSON' }
  }
}
