const CENSOR = '[redacted]'
/** Fields with these names are hidden: another program's error may contain them. */
const SECRET_FIELDS = new Set(['password', 'token', 'authorization', 'cookie', 'secret', 'connectionString'])
/** The password in any URL, even in one that is not among the settings. The word itself is no password, but shows the form of a URL. */
const URL_PASSWORD =
  /(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/@"]{0,256}):(?!<?password>?@(?![^\s/"]{0,512}@))[^\s/"]{1,512}@/gi
/** Shorter ones protect nothing, and are in every other word. */
const SHORTEST_SECRET = 4
/** Characters of one text: another program's error may be a page of HTML, and a job id may have any length. */
const LONGEST_TEXT = 2_000
/**
 * Words of our hints, such as `redis://user:password@host`, and the first that anybody tries: hiding them would protect nothing and make the hints
 * unreadable. Within a URL they are hidden all the same.
 */
const NO_SECRET = /^(rediss?|valkeys?|postgres(ql)?|unix|https?|user|password|host|port|database)$/i
const DEEPEST_LEVEL = 4

/**
 * Takes secrets out of a text, or out of all texts within a value, and cuts texts longer than `longest`. Never throws.
 *
 * @param options.show how what is left is written; default as it is
 */
export function createRedactor(options: {
  secrets: readonly string[]
  longest?: number
  show?: (text: string) => string
}) {
  const { secrets, longest = LONGEST_TEXT, show = (text) => text } = options
  // Each as it is, and as JSON has it. The longest first: one may begin with another.
  const hidden = [...new Set(secrets.flatMap((text) => [text, JSON.stringify(text).slice(1, -1)]))]
    .filter((text) => text.length >= SHORTEST_SECRET && !NO_SECRET.test(text))
    .sort((a, b) => b.length - a.length)

  function text(given: string): string {
    // The first cut saves a long search. The last comes after the secrets are out, or half of one could stay.
    let seen = given.slice(0, 2 * longest)
    for (const secret of hidden) seen = seen.replaceAll(secret, () => CENSOR)
    if (seen.includes('://')) seen = seen.replace(URL_PASSWORD, `$1:${CENSOR}@`)
    return show(seen.length > longest ? `${seen.slice(0, longest)}…` : seen)
  }

  /** A copy, with whole numbers. Of an error only its type, code, message and stack are kept. */
  function value(given: unknown, depth = 0): unknown {
    if (typeof given === 'string') return text(given)
    if (typeof given === 'number') return Math.round(given) // no line is about fractions of a millisecond
    if (typeof given !== 'object' || given === null || given instanceof Date) return given
    if (given instanceof Error) {
      const { name: type, message, stack, code } = given as Error & { code?: unknown }
      const shown = { message: text(String(message)), stack: text(stack ?? '') }
      return { type, ...(typeof code === 'string' && { code: text(code) }), ...shown }
    }
    if (depth === DEEPEST_LEVEL) return '…'
    if (Array.isArray(given)) return given.map((item) => value(item, depth + 1))
    return Object.fromEntries(
      Object.entries(given).map(([name, field]) => [
        show(name),
        SECRET_FIELDS.has(name) ? CENSOR : value(field, depth + 1),
      ]),
    )
  }

  return { text, value: (given: unknown) => value(given) }
}
