import { createSign, type KeyObject, verify } from 'node:crypto'
import { type Asked, ProviderServer, type Said } from './provider-server.ts'
import { pemOf, type RsaPair, rsaPair } from './rsa-pair.ts'

const [OURS, THEIRS] = [rsaPair(), rsaPair()]

type Answer = Record<string, unknown>

/** Alipay's gateway as its reference has it: who has signed a request, what can be closed when, its codes, and its signatures. */
export class AlipayServer extends ProviderServer {
  readonly app = '2014072300007148'
  readonly appKeys = OURS
  /** With what it signs. */
  keys: RsaPair = THEIRS
  /** By out_trade_no. */
  readonly trades = new Map<string, string>()
  /** The next answers of a method, in place of its own. */
  readonly answers: Record<string, Answer[]> = {}
  /** Makes the text from the member's name, its JSON and the signature. */
  write = (member: string, json: string, sign: string) => `{"${member}":${json},"sign":"${sign}"}`
  /** How a value is written. */
  json: (answer: Answer) => string = JSON.stringify
  meanwhile: () => void = () => {}
  readonly methods: string[] = []

  static async start(): Promise<AlipayServer> {
    const server = new AlipayServer()
    await server.listen()
    return server
  }

  get env(): Record<string, string> {
    return {
      PAYMENT_GATEWAY: 'alipay',
      ALIPAY_APP_ID: this.app,
      ALIPAY_PRIVATE_KEY: pemOf(this.appKeys.privateKey),
      ALIPAY_PUBLIC_KEY: pemOf(this.keys.publicKey),
      ALIPAY_API_URL: `${this.url}/gateway.do`,
    }
  }

  protected act({ path, body }: Asked): Said {
    const { pathname, searchParams } = new URL(path, this.url)
    const given: Record<string, string> = Object.fromEntries([...searchParams, ...new URLSearchParams(body)])
    const method = String(given.method)
    this.methods.push(method)
    const problem = pathname === '/gateway.do' ? this.#problemOf(given) : 'wrong path'
    if (problem)
      return this.#signed('error_response', { code: '40002', msg: problem, sub_code: 'isv.invalid-signature' })
    const { out_trade_no: number } = JSON.parse(given.biz_content ?? '') as { out_trade_no: string }
    const answer = this.answers[method]?.shift() ?? this.#answer(method, number)
    return this.#signed(`${method.replaceAll('.', '_')}_response`, answer)
  }

  #problemOf({ sign = '', ...given }: Record<string, string>): string | undefined {
    const content = Object.keys(given)
      .sort()
      .map((name) => `${name}=${given[name]}`)
      .join('&')
    const isTheirs = verify('RSA-SHA256', Buffer.from(content), this.appKeys.publicKey, Buffer.from(sign, 'base64'))
    if (!isTheirs || given.app_id !== this.app || given.sign_type !== 'RSA2') return 'Invalid Arguments'
    return /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(given.timestamp ?? '') && given.version === '1.0'
      ? undefined
      : 'Invalid Arguments'
  }

  #answer(method: string, number: string): Answer {
    const status = this.trades.get(number)
    const of = { trade_no: `2013112011001004330000121536${number}`, out_trade_no: number }
    if (status === undefined) return failure('ACQ.TRADE_NOT_EXIST', '交易不存在')
    if (method === 'alipay.trade.query') return { code: '10000', msg: 'Success', ...of, trade_status: status }
    if (method !== 'alipay.trade.close') throw new Error(`${method} is never called`)
    this.meanwhile()
    if (this.trades.get(number) !== 'WAIT_BUYER_PAY') return failure('ACQ.TRADE_STATUS_ERROR', '交易状态不合法')
    this.trades.set(number, 'TRADE_CLOSED')
    this.closed.push(number)
    return { code: '10000', msg: 'Success', ...of }
  }

  #signed(member: string, answer: Answer): Said {
    const json = this.json(answer)
    return { status: 200, body: this.write(member, json, signed(json, this.keys.privateKey)) }
  }
}

export function failure(sub: string, text = sub): Answer {
  return { code: '40004', msg: 'Business Failed', sub_code: sub, sub_msg: text }
}

function signed(text: string, key: KeyObject): string {
  return createSign('RSA-SHA256').update(text).sign(key, 'base64')
}
