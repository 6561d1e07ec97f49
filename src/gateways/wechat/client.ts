import { createSign, type KeyObject, randomBytes, verify } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { OrderExpiryError } from '../../errors.ts'
import type { Answer } from '../../runtime/origin.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { Provider, type Unknown } from '../provider.ts'
import { type NamedKey, parsePrivateKey } from '../rsa-keys.ts'
import { platformKeys, type WechatSettings } from './settings.ts'

const SCHEMA = 'WECHATPAY2-SHA256-RSA2048'
/** Between their clock and ours: what is older may be a recording. */
const MOST_AGE_S = 300

/**
 * Calls API v3 of WeChat Pay.
 * https://pay.weixin.qq.com/doc/v3/merchant/4012365342 (requests), https://pay.weixin.qq.com/doc/v3/merchant/4013053420 (answers)
 */
export class WechatClient {
  readonly #provider: Provider
  readonly #mchid: string
  readonly #serial: string
  readonly #ours: KeyObject
  readonly #theirs: readonly NamedKey[]
  readonly #options: GatewayOptions

  constructor(settings: WechatSettings, options: GatewayOptions) {
    const { WECHAT_MCHID: mchid, WECHAT_SERIAL_NO: serial, WECHAT_PRIVATE_KEY = '', WECHAT_PLATFORM_KEY } = settings
    const [ours, theirs] = [parsePrivateKey(WECHAT_PRIVATE_KEY), platformKeys(WECHAT_PLATFORM_KEY)]
    if (!mchid || !serial || !ours || !theirs) {
      const what = 'WECHAT_MCHID, WECHAT_SERIAL_NO, WECHAT_PRIVATE_KEY and WECHAT_PLATFORM_KEY'
      throw new OrderExpiryError('INVALID_SETTINGS', `PAYMENT_GATEWAY: expected with ${what} for wechat`)
    }
    this.#mchid = mchid
    this.#serial = serial
    this.#ours = ours
    this.#theirs = theirs
    this.#options = options
    this.#provider = new Provider(new URL(settings.WECHAT_API_URL), options)
  }

  get mchid(): string {
    return this.#mchid
  }

  get(path: string): Promise<Answer | Unknown> {
    return this.#call('GET', path, '')
  }

  post(path: string, content: object): Promise<Answer | Unknown> {
    return this.#call('POST', path, JSON.stringify(content))
  }

  /** @param code the one in the answer */
  unknown(answer: Answer, code?: string): Unknown {
    return this.#provider.unknown(answer, code)
  }

  dispose(): Promise<void> {
    return this.#provider.close()
  }

  /** Never rejects. Without a valid signature, there is no answer. */
  async #call(method: 'GET' | 'POST', path: string, body: string): Promise<Answer | Unknown> {
    const headers = {
      authorization: this.#authorization(method, path, body),
      'wechatpay-serial': this.#theirs[0]?.id ?? '', // while they replace a certificate by a key: with which they shall sign
      ...(body && { 'content-type': 'application/json' }),
    }
    const answered = await this.#provider.ask({ method, path, headers, ...(body && { body }) })
    if ('kind' in answered || this.#isTheirs(answered)) return answered
    if (answered.status >= 400) return this.#provider.unknown(answered)
    return { kind: 'unknown', detail: `answered ${answered.status}, without a signature of WECHAT_PLATFORM_KEY` }
  }

  #authorization(method: string, path: string, body: string): string {
    const timestamp = String(Math.floor(this.#options.clock.now() / 1_000))
    const nonce = randomBytes(16).toString('hex')
    const content = `${method}\n${path}\n${timestamp}\n${nonce}\n${body}\n`
    const signature = createSign('RSA-SHA256').update(content).sign(this.#ours, 'base64')
    const parts = { mchid: this.#mchid, nonce_str: nonce, signature, timestamp, serial_no: this.#serial }
    const list = Object.entries(parts).map(([name, value]) => `${name}="${value}"`)
    return `${SCHEMA} ${list.join(',')}`
  }

  #isTheirs({ headers, text }: Answer): boolean {
    const header = (name: string) => headerOf(headers, `wechatpay-${name}`)
    const [timestamp, serial] = [header('timestamp'), header('serial')]
    const age = Math.abs(this.#options.clock.now() / 1_000 - Number(timestamp))
    if (!(age <= MOST_AGE_S)) return false
    const content = Buffer.from(`${timestamp}\n${header('nonce')}\n${text}\n`)
    const signature = Buffer.from(header('signature'), 'base64')
    return this.#theirs.some(({ id, key }) => id === serial && verify('RSA-SHA256', content, key, signature))
  }
}

function headerOf(headers: IncomingHttpHeaders, name: string): string {
  return String(headers[name] ?? '')
}
