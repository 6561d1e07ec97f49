import { z } from 'zod'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { apiProblems } from '../provider-url.ts'
import { parsePrivateKey, parsePublicKeys } from '../rsa-keys.ts'
import { timeExpire } from '../time-expire.ts'

const key = z.string().min(1, 'expected a key')

/** Keys may be another program's, so they are not judged unless this gateway is chosen. */
export const settings = {
  ALIPAY_APP_ID: { schema: z.string() },
  ALIPAY_PRIVATE_KEY: { schema: key, secret: true },
  /** Alipay's, several while it is replaced. No secret, but read from a file as one. */
  ALIPAY_PUBLIC_KEY: { schema: key, secret: true },
  ALIPAY_TIME_EXPIRE: { schema: timeExpire, default: 'off' },
  ALIPAY_API_URL: { schema: z.string(), default: 'https://openapi.alipay.com/gateway.do' },
} as const satisfies Settings

export type AlipaySettings = SettingValues<typeof settings>

export function contradictions(given: Partial<AlipaySettings>): string[] {
  const { ALIPAY_APP_ID: app, ALIPAY_PRIVATE_KEY: ours, ALIPAY_PUBLIC_KEY: theirs } = given
  const problems = apiProblems('ALIPAY_API_URL', given.ALIPAY_API_URL, '/gateway.do')
  const expected = 'expected with PAYMENT_GATEWAY=alipay, given none'
  if (!app) problems.push(`ALIPAY_APP_ID: ${expected}`)
  if (!ours) problems.push(`ALIPAY_PRIVATE_KEY: ${expected}: the private key of the application, in PEM or base64`)
  else if (!parsePrivateKey(ours)) problems.push('ALIPAY_PRIVATE_KEY: expected a private RSA key in PEM or base64')
  if (!theirs) problems.push(`ALIPAY_PUBLIC_KEY: ${expected}: the public key of Alipay, in PEM or base64`)
  else if (!parsePublicKeys(theirs)) {
    problems.push('ALIPAY_PUBLIC_KEY: expected public RSA keys in PEM, or in base64 with commas between them')
  }
  return problems
}
