import { isIP } from 'node:net'
import { z } from 'zod'
import { isPublicAddress } from '../../runtime/public-addresses.ts'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { trueOrFalse } from '../../settings/values.ts'
import { secretProblems, signingSecrets } from '../../signing/secret-setting.ts'

const receiver = z.string().refine((text) => {
  const url = URL.canParse(text) && !/\s/.test(text) ? new URL(text) : undefined
  return url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.hash
}, 'expected https://host[:port]/path, without a user, a password or a "#"')

export const settings = {
  WEBHOOK_URL: { schema: receiver, isPrivate: true }, // many have a token in their path
  WEBHOOK_SECRET: { schema: signingSecrets, secret: true },
  WEBHOOK_ALLOW_PRIVATE: { schema: trueOrFalse, default: 'false' },
} as const satisfies Settings

export type WebhookSettings = SettingValues<typeof settings>

export function isChosen({ WEBHOOK_URL }: Partial<WebhookSettings>): boolean {
  return WEBHOOK_URL !== undefined
}

export function contradictions(given: Partial<WebhookSettings>): string[] {
  const { WEBHOOK_URL: text, WEBHOOK_SECRET: secret, WEBHOOK_ALLOW_PRIVATE: allowPrivate } = given
  if (text === undefined) return []
  const problems = secretProblems('WEBHOOK_SECRET', secret, 'WEBHOOK_URL')
  if (allowPrivate) return problems
  const { protocol, hostname } = new URL(text)
  const address = hostname.replace(/^\[|\]$/g, '')
  const isPrivate = address === 'localhost' || (isIP(address) !== 0 && !isPublicAddress(address))
  const unless = 'unless WEBHOOK_ALLOW_PRIVATE=true'
  if (isPrivate) problems.push(`WEBHOOK_URL: expected a receiver that is not within a private network, ${unless}`)
  else if (protocol === 'http:') problems.push(`WEBHOOK_URL: expected https://, ${unless}`)
  return problems
}
