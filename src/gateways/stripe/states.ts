import type Stripe from 'stripe'

/** `authorised`: the money is held, and nothing has been captured. Undefined: Stripe has a new status. */
type IntentState = 'open' | 'in-flight' | 'authorised' | 'closed' | 'paid'

/** https://docs.stripe.com/api/payment_intents/object#payment_intent_object-status */
const INTENT: Readonly<Record<string, IntentState>> = {
  requires_payment_method: 'open',
  requires_confirmation: 'open',
  requires_action: 'open',
  processing: 'in-flight',
  requires_capture: 'authorised',
  canceled: 'closed',
  succeeded: 'paid',
}

export function intentState({ status, amount_received: received }: Stripe.PaymentIntent): IntentState | undefined {
  const state = Object.hasOwn(INTENT, status) ? INTENT[status] : undefined
  // Of several captures, the first.
  return state !== undefined && received > 0 ? 'paid' : state
}

/** `unconfirmed`: the buyer can pay no more, but the shop's own server could. */
type SessionState = IntentState | 'unconfirmed'

/**
 * https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-status and …-payment_status
 *
 * @param intent of a session that is complete; null: it has none
 */
export function sessionState(
  session: Stripe.Checkout.Session,
  intent: Stripe.PaymentIntent | null,
): SessionState | undefined {
  const { status, payment_status: payment } = session
  if (payment === 'paid') return 'paid'
  if (status === 'open' && (payment === 'unpaid' || payment === 'no_payment_required')) return 'open'
  if (status === 'expired') return 'closed'
  if (status !== 'complete') return undefined
  if (payment === 'no_payment_required') return 'paid'
  if (payment !== 'unpaid' || intent === null) return undefined
  // A payment by transfer or voucher is under way. Stripe cancels it only where it has been authorised.
  if (intent.status === 'requires_action') return 'in-flight'
  const state = intentState(intent)
  return state === 'open' ? 'unconfirmed' : state
}
