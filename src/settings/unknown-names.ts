import { closest, distance } from 'fastest-levenshtein'
import type { Environment, Settings } from './setting.ts'

/** Other programs really have these names, however close they come to ours. */
const OF_OTHERS = /^(HTTPS_\w+|HTTP_PORTS|LOG_?LEVELS?|DATABASE_(URI|URLS)|REDIS_URLS|API_TOKEN)$/
/** A name of this length is so much our own that a short word more or less is a near miss, too. */
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
    if (known.has(name) || text === undefined || OF_OTHERS.test(name)) continue
    const meant = [...known].filter((one) => isNearMiss(name.toUpperCase(), one))
    const [near] = meant.sort((a, b) => distance(name, a) - distance(name, b))
    // Another program's variable may resemble one of ours; it matters where ours is not set.
    if (near && !env[near]) yield `${name}: unknown setting; did you mean ${near}?`
  }
}

/** Word for word the same but for typing errors: `REDIS_ULR`, not `REDIS_SSL`, which is a word of its own. */
function isNearMiss(name: string, known: string): boolean {
  if (lettersOf(name) === lettersOf(known)) return true
  if (known.length >= LONG_NAME && distance(name, known) <= 3) return true
  const [words, others] = [name.split('_'), known.split('_')]
  return words.length === others.length && words.every((word, n) => isMistyped(word, others[n] as string))
}

/** One letter wrong, missing or too many, two in a long word, or letters in another order. */
function isMistyped(word: string, meant: string): boolean {
  if (distance(word, meant) <= (meant.length > 4 ? 2 : 1)) return true
  return distance(word, meant) === 2 && sorted(word) === sorted(meant)
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
