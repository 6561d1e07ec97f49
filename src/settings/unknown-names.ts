import { closest, distance } from 'fastest-levenshtein'
import type { Environment, Settings } from './setting.ts'

/** Settings of later versions, on which nobody may rely yet, with the only value that they may have. */
const NOT_YET: Readonly<Record<string, string>> = {
  QUEUE_SHARDS: '1',
  PAYMENT_GATEWAY: 'none',
  PAYMENT_URL: '',
  STRIPE_API_KEY: '',
  PAYMENT_GRACE: '',
  ORDERS_URL: '',
  ORDERS_SECRET: '',
  WEBHOOK_URL: '',
  WEBHOOK_SECRET: '',
  EVENT_STREAM: '',
}

/** Only our names begin like this, but for those that Kubernetes writes for a Service called "orders". */
const OUR_FAMILIES = /^(ORDERS|SWEEP|BRAKE)_/
const KUBERNETES_LINKS = /_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/

/** A line for each variable of `env` that is not a setting but probably meant to be; in `.env`, each should be ours. */
export function* findUnknownNames(options: {
  settings: Settings
  env: Environment
  dotenv: Environment
}): Generator<string> {
  const { settings, env, dotenv } = options
  const known = new Set([...Object.keys(settings), 'NODE_ENV'])
  for (const [name, setting] of Object.entries(settings)) if (setting.secret) known.add(`${name}_FILE`)
  for (const [name, text] of Object.entries(env)) {
    if (known.has(name) || text === undefined) continue
    const later = name.replace(/_FILE$/, '')
    if (Object.hasOwn(NOT_YET, later)) {
      if (!['', NOT_YET[later]].includes(text)) {
        yield `${name}: expected not to be set, since this version has no such setting`
      }
      continue
    }
    const inFile = Object.hasOwn(dotenv, name)
    // Names of later versions resemble too many variables of other programs.
    const near = nearest(name, [...known, ...(inFile ? Object.keys(NOT_YET) : [])])
    const looksLikeOurs = OUR_FAMILIES.test(name) && !KUBERNETES_LINKS.test(name)
    // Another program's variable may resemble one of ours; it matters where ours is not set.
    const typo = near !== undefined && !env[near] && !name.startsWith('HTTPS_')
    if (inFile || looksLikeOurs || typo) yield `${name}: unknown setting${near ? `; did you mean ${near}?` : ''}`
  }
}

/** Which of the known names somebody probably meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const near = closest(name, known)
  return distance(name, near) <= 2 ? near : undefined
}
