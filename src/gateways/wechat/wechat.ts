import { z } from 'zod'
import type { Closing, PaymentGateway, Verdict } from '../../order/payment-gateway.ts'
import { readJson } from '../../runtime/json.ts'
import type { Answer } from '../../runtime/origin.ts'
import { type Closed, closePayment, type State } from '../close-payment.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { shorten } from '../provider.ts'
import { notCreated } from '../time-expire.ts'
import { WechatClient } from './client.ts'
import type { WechatSettings } from './settings.ts'
import { stateOf } from './states.ts'

/** In front of the number of a combined order, which is closed by another call. No number of WeChat Pay's has a colon. */
const COMBINED = 'combine:'
/** All three are found in its documentation of several years. */
const NOT_CREATED = ['ORDER_NOT_EXIST', 'ORDERNOTEXIST', 'RESOURCE_NOT_EXISTS']

const errorBody = z.object({ code: z.string() })
const single = z.object({ out_trade_no: z.string(), trade_state: z.string() })
const combined = z.object({
  combine_out_trade_no: z.string(),
  combine_appid: z.string(),
  sub_orders: z.array(
    z.object({
      mchid: z.string(),
      out_trade_no: z.string(),
      trade_state: z.string(),
      sub_mchid: z.string().optional(),
      sub_appid: z.string().optional(),
    }),
  ),
})

/** What an order is read from and closed by. */
interface Order {
  read: string
  close: string
  /** The states in an answer about this order, and what to send to close it. Undefined: it is about something else. */
  parse(answer: unknown): { states: string[]; content: object } | undefined
}

/** Closes orders by the number that the shop has given them (out_trade_no, or `combine:` and combine_out_trade_no). */
export function openWechat(settings: WechatSettings, options: GatewayOptions): PaymentGateway {
  const client = new WechatClient(settings, options)

  async function read(order: Order, closing: Closing): Promise<State> {
    const answer = await client.get(order.read)
    if ('kind' in answer) return answer
    if (answer.status !== 200) {
      const code = codeIn(answer)
      const isMissing = answer.status === 404 && NOT_CREATED.includes(code ?? '')
      return isMissing ? notCreated(settings.WECHAT_TIME_EXPIRE, closing, options.clock) : client.unknown(answer, code)
    }
    const parsed = order.parse(readJson(answer.text))
    if (!parsed) return { kind: 'unknown', isThere: true, detail: 'answered without the state of this order' }
    const kind = stateOf(parsed.states)
    const detail = shorten(`trade_state ${parsed.states.join(', ')}`)
    if (kind === undefined) return { kind: 'unknown', isThere: true, detail }
    return kind === 'open' ? { kind, detail, close: () => closeOrder(order, parsed.content) } : { kind, detail }
  }

  async function closeOrder(order: Order, content: object): Promise<Closed> {
    const answer = await client.post(order.close, content)
    if ('kind' in answer) return answer
    if (answer.status === 204) return { kind: 'closed', detail: 'closed by WeChat Pay' }
    const failure = client.unknown(answer, codeIn(answer))
    // Among what a state of the order leads to are 403 (TRADE_ERROR) and 202 (USERPAYING).
    const isRefusal = answer.status < 500 && answer.status !== 429
    return isRefusal ? { kind: 'refused', detail: String(failure.detail) } : failure
  }

  async function close(closing: Closing): Promise<Verdict> {
    const { reference } = closing.payment
    const order = reference.startsWith(COMBINED)
      ? combinedOrder(reference.slice(COMBINED.length))
      : singleOrder(reference, client.mchid)
    return closePayment(() => read(order, closing))
  }

  return { name: 'wechat', close, dispose: () => client.dispose() }
}

function singleOrder(number: string, mchid: string): Order {
  const path = `/v3/pay/transactions/out-trade-no/${encodeURIComponent(number)}`
  return {
    read: `${path}?mchid=${encodeURIComponent(mchid)}`,
    close: `${path}/close`,
    parse(answer) {
      const { data } = single.safeParse(answer)
      return data?.out_trade_no === number ? { states: [data.trade_state], content: { mchid } } : undefined
    },
  }
}

/** The parts of a combined order are closed together, and are named for it. */
function combinedOrder(number: string): Order {
  const path = `/v3/combine-transactions/out-trade-no/${encodeURIComponent(number)}`
  return {
    read: path,
    close: `${path}/close`,
    parse(answer) {
      const { data } = combined.safeParse(answer)
      if (data?.combine_out_trade_no !== number) return undefined
      const parts = data.sub_orders.map(({ trade_state: _, ...part }) => part)
      const content = { combine_appid: data.combine_appid, sub_orders: parts }
      return { states: data.sub_orders.map(({ trade_state }) => trade_state), content }
    },
  }
}

function codeIn({ text }: Answer): string | undefined {
  return errorBody.safeParse(readJson(text)).data?.code
}
