import type { Closing, PaymentGateway, Verdict } from '../../order/payment-gateway.ts'
import { type Closed, closePayment, type State } from '../close-payment.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { shorten, type Unknown } from '../provider.ts'
import { notCreated } from '../time-expire.ts'
import { type AlipayAnswer, AlipayClient } from './client.ts'
import type { AlipaySettings } from './settings.ts'

const SUCCESS = '10000'
/** The provider's own trouble: the same call may succeed later. https://opendocs.alipay.com/common/02km9f */
const PROVIDER_FAILS = /^(ACQ|AQC|AOP|aop|isp)\.(SYSTEM_ERROR|unknow-error)$/i

/** https://opendocs.alipay.com/open/028woa (trade_status) */
const STATES: Readonly<Record<string, 'open' | Exclude<Verdict['kind'], 'unknown'>>> = {
  WAIT_BUYER_PAY: 'open',
  /** Not paid in time, closed, or paid and given back in full. */
  TRADE_CLOSED: 'closed',
  TRADE_SUCCESS: 'paid',
  TRADE_FINISHED: 'paid',
}

/**
 * Closes trades by the number that the shop has given them (out_trade_no). alipay.trade.cancel is never called: it gives the money
 * back of what has been paid.
 */
export function openAlipay(settings: AlipaySettings, options: GatewayOptions): PaymentGateway {
  const client = new AlipayClient(settings, options)

  async function read(closing: Closing): Promise<State> {
    const trade = { out_trade_no: closing.payment.reference }
    const answered = await client.call('alipay.trade.query', trade)
    if (!('said' in answered)) return answered
    const { said: answer } = answered
    if (answer.sub_code === 'ACQ.TRADE_NOT_EXIST') {
      return notCreated(settings.ALIPAY_TIME_EXPIRE, closing, options.clock)
    }
    if (answer.code !== SUCCESS) return failed(answer)
    if (answer.out_trade_no !== trade.out_trade_no) {
      return { kind: 'unknown', isThere: true, detail: 'answered with another trade' }
    }
    const status = shorten(String(answer.trade_status))
    const kind = Object.hasOwn(STATES, status) ? STATES[status] : undefined
    const detail = `trade_status ${status}`
    if (kind === undefined) return { kind: 'unknown', isThere: true, detail }
    return kind === 'open' ? { kind, detail, close: () => closeTrade(trade) } : { kind, detail }
  }

  async function closeTrade(trade: Record<string, string>): Promise<Closed> {
    const answered = await client.call('alipay.trade.close', trade)
    if (!('said' in answered)) return answered
    if (answered.said.code === SUCCESS) return { kind: 'closed', detail: 'closed by alipay.trade.close' }
    const failure = failed(answered.said)
    return failure.isThere ? { kind: 'refused', detail: String(failure.detail) } : failure
  }

  return { name: 'alipay', close: (closing) => closePayment(() => read(closing)), dispose: () => client.dispose() }
}

/** An error that Alipay has signed. Code 40004 is one of the trade; all others are of our access to it, or of Alipay itself. */
function failed({ code, sub_code: sub = '' }: AlipayAnswer): Unknown {
  const isThere = code === '40004' && !PROVIDER_FAILS.test(sub)
  return { kind: 'unknown', isThere, detail: shorten(`answered ${code} ${sub}`.trim()) }
}
