import { closest, distance } from 'fastest-levenshtein'
import type { Environment, Settings } from './setting.ts'

/** Other programs really have these names, however close they come to ours. */
const OF_OTHERS =
  /^(HTTP[SD2]_\w+|HTTP_(PORTS|POST)|APP_\w+|LOGLEVEL|LOG_?LEVELS|DATABASE_(URI|URLS)|REDIS_URLS|API_TOKEN|TRUST_PROXY|CONCURRENT|SLEEP_EVERY|ORDERS_CONNECTION|PAYMENTS_(URL|SECRET|GATEWAY)|(STRIPE|ALIPAY|WECHAT(PAY)?)_\w+)(_FILE)?$/
/** Nobody else has names that begin so. In a long one, a short word more or less is a near miss, too. */
const OUR_OWN = /^(ORDERS|BRAKE)_/
const LONG_NAME = 16

/** The names that mean something to us. */
export function knownNames(settings: Settings): Set<string> {
  const secrets = Object.keys(settings).filter((name) => settings[name]?.secret)
  return new Set([...Object.keys(settings), 'NODE_ENV', ...secrets.map((name) => `${name}_FILE`)])
}

/** A line for each variable that is probably meant to be a setting. All others belong to other programs. */
export function* findUnknownNames({ settings, env }: { settings: Settings; env: Environment }): Generator<string> {
  const known = knownNames(settings)
  for (const [name, text] of Object.entries(env)) {
    if (known.has(name) || text === undefined || OF_OTHERS.test(name.toUpperCase())) continue
    const meant = [...known].filter((one) => isNearMiss(name.toUpperCase(), one))
    const [near] = meant.sort((a, b) => distance(name, a) - distance(name, b))
    // Another program's variable may resemble one of ours; it matters where ours is not set, by itself or as a file.
    if (near && !env[near] && !env[near.replace(/_FILE$/, '')] && !env[`${near}_FILE`]) {
      yield `${name}: unknown setting; did you mean ${near}?`
    }
  }
}

/** Word for word the same but for one typing error: `REDIS_ULR`, not `REDIS_SSL` or `APP_TOKEN`, which have words of their own. */
function isNearMiss(name: string, known: string): boolean {
  if (lettersOf(name) === lettersOf(known)) return true
  const isOurOwn = OUR_OWN.test(known)
  if (isOurOwn && known.length >= LONG_NAME && distance(name, known) <= 3) return true
  const [words, others] = [name.split('_'), known.split('_')]
  const wrong = words.flatMap((word, n) => (word === others[n] ? [] : [{ word, meant: others[n] ?? '' }]))
  return words.length === others.length && (isOurOwn || wrong.length === 1) && wrong.every(isMistyped)
}

/** One letter wrong, missing or too many, two in a long word, or letters in another order. Another first letter makes another word. */
function isMistyped({ word, meant }: { word: string; meant: string }): boolean {
  if (sorted(word) === sorted(meant)) return distance(word, meant) === 2
  const isAnother = word.length === meant.length && word[0] !== meant[0]
  return !isAnother && distance(word, meant) <= (meant.length > 6 ? 2 : 1)
}

function lettersOf(name: string): string {
  return name.replaceAll(/[_-]/g, '')
}

function sorted(word: string): string {
  return [...word].sort().join('')
}

/** Which of the known names somebody probably meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const near = closest(name, known)
  return distance(name, near) <= 2 ? near : undefined
}
