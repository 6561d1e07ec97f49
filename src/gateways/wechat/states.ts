import type { Verdict } from '../../order/payment-gateway.ts'

type OrderState = 'open' | Extract<Verdict['kind'], 'closed' | 'paid' | 'in-flight'>

/** https://pay.weixin.qq.com/doc/v3/merchant/4013070356 (trade_state) */
const STATES: Readonly<Record<string, OrderState>> = {
  SUCCESS: 'paid',
  /** Paid, and at least in part given back: somebody has to look at it. */
  REFUND: 'paid',
  NOTPAY: 'open',
  CLOSED: 'closed',
  REVOKED: 'closed',
  USERPAYING: 'in-flight',
  ACCEPT: 'in-flight',
  /** The bank has refused; the buyer may try again. */
  PAYERROR: 'open',
}

/** The state of an order, or of a combined one from those of its parts. Undefined: one of them is not known. */
export function stateOf(tradeStates: readonly string[]): OrderState | undefined {
  const states = tradeStates.map((state) => (Object.hasOwn(STATES, state) ? STATES[state] : undefined))
  if (states.length === 0 || states.includes(undefined)) return undefined
  return (['paid', 'in-flight', 'open'] as const).find((state) => states.includes(state)) ?? 'closed'
}
