import { z } from 'zod'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { secretProblems, signingSecrets } from '../../signing/secret-setting.ts'
import { urlProblems } from '../provider-url.ts'

/** Both may be another program's, so they are not judged unless this gateway is chosen. */
export const settings = {
  PAYMENT_URL: { schema: z.string(), isPrivate: true }, // many have a token in their path
  PAYMENT_SECRET: { schema: signingSecrets, secret: true },
} as const satisfies Settings

export type HttpSettings = SettingValues<typeof settings>

export function contradictions({ PAYMENT_URL, PAYMENT_SECRET }: Partial<HttpSettings>): string[] {
  const chosen = 'PAYMENT_GATEWAY=http'
  return [
    ...urlProblems('PAYMENT_URL', PAYMENT_URL, `https://host[:port]/path with ${chosen}`),
    ...secretProblems('PAYMENT_SECRET', PAYMENT_SECRET, chosen),
  ]
}
