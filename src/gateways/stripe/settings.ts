import { z } from 'zod'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { apiProblems } from '../provider-url.ts'

export const settings = {
  /** Many shops have it anyway, so it is not judged unless this gateway is chosen. */
  STRIPE_API_KEY: { schema: z.string().min(1, 'expected a key'), secret: true },
  STRIPE_API_URL: { schema: z.string(), default: 'https://api.stripe.com' },
} as const satisfies Settings

export type StripeSettings = SettingValues<typeof settings>

export function contradictions({ STRIPE_API_KEY: key, STRIPE_API_URL }: Partial<StripeSettings>): string[] {
  const expected = 'STRIPE_API_KEY: expected a secret or restricted key, sk_… or rk_…, with PAYMENT_GATEWAY=stripe'
  const problems = apiProblems('STRIPE_API_URL', STRIPE_API_URL, '')
  if (!key) problems.push(`${expected}, given none`)
  else if (!/^(sk|rk)_\w+$/.test(key)) problems.push(expected)
  return problems
}
