import { type Asked, ProviderServer, type Said } from './provider-server.ts'

const CANCELABLE = ['requires_payment_method', 'requires_capture', 'requires_confirmation', 'requires_action']

interface Intent {
  status: string
  amount_received?: number
}

interface Session {
  status: string
  payment_status: string
  payment_intent?: string
}

/** Stripe as its reference has it: what can be canceled and expired when, its error bodies, and its keys of idempotency. */
export class StripeServer extends ProviderServer {
  readonly key = 'sk_test_hunter2'
  readonly intents = new Map<string, Intent>()
  readonly sessions = new Map<string, Session>()
  /** How many of the next changes end with 500, which counts as the answer to their key. */
  failures = 0
  /** The next answers to reads and to changes, in place of its own. */
  readonly answers: Record<'GET' | 'POST', object[]> = { GET: [], POST: [] }
  /** What happens between a read and the change after it. */
  meanwhile: () => void = () => {}
  readonly #replies = new Map<string, { path: string; body: string; said: Said }>()

  static async start(): Promise<StripeServer> {
    const server = new StripeServer()
    await server.listen()
    return server
  }

  get env(): Record<string, string> {
    return { PAYMENT_GATEWAY: 'stripe', STRIPE_API_KEY: this.key, STRIPE_API_URL: this.url }
  }

  protected act(asked: Asked): Said {
    const { method, path, headers, body } = asked
    if (headers.authorization !== `Bearer ${this.key}`) {
      return error(401, { type: 'invalid_request_error', message: 'Invalid API Key provided: sk_test_****ter2' })
    }
    const given = this.answers[method as 'GET' | 'POST'].shift()
    if (given) return ok(given)
    if (method === 'GET') return this.#read(path)
    const key = String(headers['idempotency-key'] ?? '')
    const known = this.#replies.get(key)
    if (known && (known.path !== path || known.body !== body)) {
      return error(400, { type: 'idempotency_error', message: 'Keys can only be used with the same parameters' })
    }
    if (known) return { ...known.said, headers: { 'idempotent-replayed': 'true' } }
    this.meanwhile()
    const said =
      this.failures-- > 0 ? error(500, { type: 'api_error', message: 'An unknown error occurred' }) : this.#change(path)
    if (key) this.#replies.set(key, { path, body, said })
    return said
  }

  #read(path: string): Said {
    const { pathname, searchParams } = new URL(path, this.url)
    const [, kind, id = ''] = /^\/v1\/(payment_intents|checkout\/sessions)\/(\w+)$/.exec(pathname) ?? []
    if (kind === 'payment_intents' && this.intents.has(id)) return ok(this.#intent(id))
    const session = kind === 'checkout/sessions' && this.sessions.get(id)
    if (!session) return missing(id)
    const isExpanded = searchParams.get('expand[0]') === 'payment_intent'
    const { payment_intent: intent = null } = session
    const shown = intent !== null && isExpanded ? this.#intent(intent) : intent
    return ok({ id, object: 'checkout.session', ...session, payment_intent: shown })
  }

  #change(path: string): Said {
    const [, intentId] = /^\/v1\/payment_intents\/(\w+)\/cancel$/.exec(path) ?? []
    const [, sessionId] = /^\/v1\/checkout\/sessions\/(\w+)\/expire$/.exec(path) ?? []
    const intent = this.intents.get(intentId ?? '')
    const session = this.sessions.get(sessionId ?? '')
    if (intent && intentId) {
      const isOfSession = [...this.sessions.values()].some((one) => one.payment_intent === intentId)
      if (!CANCELABLE.includes(intent.status) || (isOfSession && intent.status !== 'requires_capture')) {
        const message = `You cannot cancel this PaymentIntent because it has a status of ${intent.status}.`
        const code = 'payment_intent_unexpected_state'
        return error(400, { type: 'invalid_request_error', code, message, payment_intent: this.#intent(intentId) })
      }
      intent.status = 'canceled'
      this.closed.push(intentId)
      return ok(this.#intent(intentId))
    }
    if (session && sessionId) {
      if (session.status !== 'open') {
        const message = `Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of ${session.status}.`
        return error(400, { type: 'invalid_request_error', message })
      }
      session.status = 'expired'
      this.closed.push(sessionId)
      return ok({ id: sessionId, object: 'checkout.session', payment_intent: null, ...session })
    }
    return missing(String(intentId ?? sessionId))
  }

  #intent(id: string): object {
    return { id, object: 'payment_intent', amount_received: 0, ...this.intents.get(id) }
  }
}

function ok(body: object): Said {
  return { status: 200, headers: { 'stripe-notice': 'There is a newer version.' }, body: JSON.stringify(body) }
}

function error(status: number, body: object): Said {
  return { status, body: JSON.stringify({ error: body }) }
}

function missing(id: string): Said {
  return error(404, { type: 'invalid_request_error', code: 'resource_missing', message: `No such object: '${id}'` })
}
