import { createSign, type KeyObject, verify } from 'node:crypto'
import { OrderExpiryError } from '../../errors.ts'
import { readJson } from '../../runtime/json.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { Provider, shorten, type Unknown } from '../provider.ts'
import { parsePrivateKey, parsePublicKeys } from '../rsa-keys.ts'
import { rawMembers } from './raw-members.ts'
import type { AlipaySettings } from './settings.ts'

const CHINA_IS_AHEAD_MS = 8 * 3_600_000

/** An answer whose signature is Alipay's: what `alipay_…_response` says. */
export type AlipayAnswer = { code: string; sub_code?: string } & Record<string, unknown>

/**
 * Calls methods of the Alipay Open Platform, signed with RSA2.
 * https://opendocs.alipay.com/common/02mse7 (requests), https://opendocs.alipay.com/common/02mse7?pathHash=b3ad5c6b (answers)
 */
export class AlipayClient {
  readonly #provider: Provider
  readonly #url: URL
  readonly #appId: string
  readonly #ours: KeyObject
  readonly #theirs: readonly KeyObject[]
  readonly #options: GatewayOptions

  constructor(settings: AlipaySettings, options: GatewayOptions) {
    const { ALIPAY_APP_ID: appId, ALIPAY_PRIVATE_KEY = '', ALIPAY_PUBLIC_KEY = '', ALIPAY_API_URL } = settings
    const [ours, theirs] = [parsePrivateKey(ALIPAY_PRIVATE_KEY), parsePublicKeys(ALIPAY_PUBLIC_KEY)]
    if (!appId || !ours || !theirs) {
      const what = 'ALIPAY_APP_ID, ALIPAY_PRIVATE_KEY and ALIPAY_PUBLIC_KEY'
      throw new OrderExpiryError('INVALID_SETTINGS', `PAYMENT_GATEWAY: expected with ${what} for alipay`)
    }
    this.#appId = appId
    this.#ours = ours
    this.#theirs = theirs.map(({ key }) => key)
    this.#options = options
    this.#url = new URL(ALIPAY_API_URL)
    this.#provider = new Provider(this.#url, options)
  }

  /** Never rejects. Without a valid signature, there is no answer. */
  async call(method: string, content: Record<string, string>): Promise<{ said: AlipayAnswer } | Unknown> {
    const biz = JSON.stringify(content)
    const answered = await this.#provider.ask({
      method: 'POST',
      path: `${this.#url.pathname}?${this.#signedQuery(method, biz)}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded;charset=utf-8' },
      body: new URLSearchParams({ biz_content: biz }).toString(),
    })
    if ('kind' in answered) return answered
    if (answered.status !== 200) return this.#provider.unknown(answered)
    return this.#verified(answered.text, `${method.replaceAll('.', '_')}_response`)
  }

  dispose(): Promise<void> {
    return this.#provider.close()
  }

  #signedQuery(method: string, biz: string): string {
    const timestamp = new Date(this.#options.clock.now() + CHINA_IS_AHEAD_MS)
      .toISOString()
      .slice(0, 19)
      .replace('T', ' ')
    const system = {
      app_id: this.#appId,
      method,
      format: 'JSON',
      charset: 'utf-8',
      sign_type: 'RSA2',
      timestamp,
      version: '1.0',
    }
    const sorted = Object.entries({ ...system, biz_content: biz }).sort(([a], [b]) => (a < b ? -1 : 1))
    const content = sorted.map(([name, value]) => `${name}=${value}`).join('&')
    const sign = createSign('RSA-SHA256').update(content).sign(this.#ours, 'base64')
    return new URLSearchParams({ ...system, sign }).toString()
  }

  #verified(text: string, member: string): { said: AlipayAnswer } | Unknown {
    const parsed = readJson(text)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
      return { kind: 'unknown', detail: 'answered with what is no JSON object' }
    }
    const members = rawMembers(text)
    const raw = members.get(member) ?? members.get('error_response') ?? ''
    const sign = readJson(members.get('sign'))
    const answer = readJson(raw) as AlipayAnswer | undefined
    if (typeof answer?.code !== 'string')
      return { kind: 'unknown', isThere: true, detail: `answered without ${member}` }
    if (typeof sign !== 'string' || !this.#isTheirs(raw, sign)) {
      const what = shorten(`${answer.code} ${answer.sub_code ?? ''}`.trim())
      return { kind: 'unknown', detail: `answered ${what}, without a signature of ALIPAY_PUBLIC_KEY` }
    }
    return { said: answer }
  }

  #isTheirs(raw: string, sign: string): boolean {
    const signature = Buffer.from(sign, 'base64')
    // Alipay signs some answers before it escapes their slashes.
    const texts = raw.includes('\\/') ? [raw, raw.replaceAll('\\/', '/')] : [raw]
    return texts.some((text) => this.#theirs.some((key) => verify('RSA-SHA256', Buffer.from(text), key, signature)))
  }
}
