import { isIP } from 'node:net'
import { z } from 'zod'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { trueOrFalse } from '../../settings/values.ts'
import { parseSecret, SECRET_FORMAT } from '../../signing/standard-webhooks.ts'
import { isPublicAddress } from './public-addresses.ts'

const receiver = z.string().refine((text) => {
  const url = URL.canParse(text) && !/\s/.test(text) ? new URL(text) : undefined
  return url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.hash
}, 'expected https://host[:port]/path, without a user, a password or a "#"')

/** Several while one is replaced, comma-separated. Without a URL it may be somebody else's, so it is not judged alone. */
const secrets = z
  .string()
  .min(1, 'expected a secret')
  .transform((text): string[] => text.split(',').map((secret) => secret.trim()))

export const settings = {
  WEBHOOK_URL: { schema: receiver, isPrivate: true }, // many have a token in their path
  WEBHOOK_SECRET: { schema: secrets, secret: true },
  WEBHOOK_ALLOW_PRIVATE: { schema: trueOrFalse, default: 'false' },
} as const satisfies Settings

export type WebhookSettings = SettingValues<typeof settings>

export function isChosen({ WEBHOOK_URL }: Partial<WebhookSettings>): boolean {
  return WEBHOOK_URL !== undefined
}

export function contradictions(given: Partial<WebhookSettings>): string[] {
  const { WEBHOOK_URL: text, WEBHOOK_SECRET: secret, WEBHOOK_ALLOW_PRIVATE: allowPrivate } = given
  if (text === undefined) return []
  const problems: string[] = []
  const wrong = secret?.findIndex((each) => !parseSecret(each)) ?? -1
  if (!secret) problems.push(`WEBHOOK_SECRET: expected with WEBHOOK_URL, given none: ${SECRET_FORMAT}`)
  else if (wrong !== -1) problems.push(`WEBHOOK_SECRET: expected ${SECRET_FORMAT}; entry ${wrong + 1} is not`)
  if (allowPrivate) return problems
  const { protocol, hostname } = new URL(text)
  const address = hostname.replace(/^\[|\]$/g, '')
  const isPrivate = address === 'localhost' || (isIP(address) !== 0 && !isPublicAddress(address))
  const unless = 'unless WEBHOOK_ALLOW_PRIVATE=true'
  if (isPrivate) problems.push(`WEBHOOK_URL: expected a receiver that is not within a private network, ${unless}`)
  else if (protocol === 'http:') problems.push(`WEBHOOK_URL: expected https://, ${unless}`)
  return problems
}
