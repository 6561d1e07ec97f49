import { isIP } from 'node:net'
import { isPublicAddress } from '../runtime/public-addresses.ts'

/**
 * What is wrong with the URL of a provider, as a line that begins with the setting. Plain http:// is for private networks, where a payment
 * service of the shop's is at home: anywhere else, whoever is on the way could say that a payment is closed.
 */
export function urlProblems(name: string, text: string | undefined, expected: string): string[] {
  if (text === undefined) return [`${name}: expected ${expected}, given none`]
  const url = URL.canParse(text) && !/\s/.test(text) ? new URL(text) : undefined
  const isPlain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.hash
  if (!isPlain) return [`${name}: expected ${expected}, without a user, a password or a "#"`]
  const address = url.hostname.replace(/^\[|\]$/g, '')
  const isOnTheWay = url.protocol === 'http:' && isIP(address) !== 0 && isPublicAddress(address)
  return isOnTheWay ? [`${name}: expected https://, unless it leads into a private network`] : []
}

/** The same for where a provider has its API: another place than its own is a sandbox, a proxy, or a test's. */
export function apiProblems(name: string, text: string | undefined, path: string): string[] {
  const expected = `https://host[:port]${path}`
  const problems = urlProblems(name, text, expected)
  if (problems.length > 0 || text === undefined) return problems
  const { pathname, search } = new URL(text)
  const isKnown = search === '' && (path !== '' || pathname === '/')
  return isKnown ? [] : [`${name}: expected ${expected}, and nothing behind it`]
}
