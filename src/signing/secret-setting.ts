import { z } from 'zod'
import { parseSecret, SECRET_FORMAT } from './standard-webhooks.ts'

/** Several while one is replaced, comma-separated. Another program may have a variable of the same name, so it is not judged alone. */
export const signingSecrets = z
  .string()
  .min(1, 'expected a secret')
  .transform((text): string[] => text.split(',').map((secret) => secret.trim()))

/** @param beside the setting that needs these secrets */
export function secretProblems(name: string, secrets: readonly string[] | undefined, beside: string): string[] {
  if (!secrets) return [`${name}: expected with ${beside}, given none: ${SECRET_FORMAT}`]
  const wrong = secrets.findIndex((each) => !parseSecret(each))
  return wrong === -1 ? [] : [`${name}: expected ${SECRET_FORMAT}; entry ${wrong + 1} is not`]
}
