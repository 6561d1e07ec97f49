import { z } from 'zod'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { apiProblems } from '../provider-url.ts'
import { parsePrivateKey, parsePublicKeys } from '../rsa-keys.ts'
import { timeExpire } from '../time-expire.ts'

const key = z.string().min(1, 'expected a key')

/** Keys may be another program's, so they are not judged unless this gateway is chosen. */
export const settings = {
  WECHAT_MCHID: { schema: z.string() },
  /** Of our certificate, to whose key WECHAT_PRIVATE_KEY belongs. */
  WECHAT_SERIAL_NO: { schema: z.string() },
  WECHAT_PRIVATE_KEY: { schema: key, secret: true },
  /** WeChat Pay's, several while one is replaced. No secret, but read from a file as one. */
  WECHAT_PLATFORM_KEY: { schema: key, secret: true },
  WECHAT_TIME_EXPIRE: { schema: timeExpire, default: 'off' },
  WECHAT_API_URL: { schema: z.string(), default: 'https://api.mch.weixin.qq.com' },
} as const satisfies Settings

export type WechatSettings = SettingValues<typeof settings>

const PLATFORM_KEYS = 'certificates in PEM, or public keys in PEM, each behind its id: PUB_KEY_ID_…'

export function contradictions(given: Partial<WechatSettings>): string[] {
  const { WECHAT_MCHID, WECHAT_SERIAL_NO, WECHAT_PRIVATE_KEY: ours, WECHAT_PLATFORM_KEY: theirs } = given
  const problems = apiProblems('WECHAT_API_URL', given.WECHAT_API_URL, '')
  const expected = 'expected with PAYMENT_GATEWAY=wechat, given none'
  if (!WECHAT_MCHID) problems.push(`WECHAT_MCHID: ${expected}`)
  if (!WECHAT_SERIAL_NO) problems.push(`WECHAT_SERIAL_NO: ${expected}: the serial number of your API certificate`)
  if (!ours) problems.push(`WECHAT_PRIVATE_KEY: ${expected}: the content of apiclient_key.pem`)
  else if (!parsePrivateKey(ours)) problems.push('WECHAT_PRIVATE_KEY: expected a private RSA key in PEM')
  if (!theirs) problems.push(`WECHAT_PLATFORM_KEY: ${expected}: ${PLATFORM_KEYS}`)
  else if (!platformKeys(theirs)) problems.push(`WECHAT_PLATFORM_KEY: expected ${PLATFORM_KEYS}`)
  return problems
}

/** WeChat Pay's keys, each with the serial number that its answers name. Undefined: not each of them has one. */
export function platformKeys(text = '') {
  const keys = parsePublicKeys(text)
  return keys?.every(({ id }) => id !== '') ? keys : undefined
}
