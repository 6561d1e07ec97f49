import { validateHeaderValue } from 'node:http'
import { z } from 'zod'

export interface BoardUser {
  name: string
  password: string
  role: 'viewer' | 'operator'
}

const SCOPES = ['schedule', 'pay', 'read'] as const
export type Scope = (typeof SCOPES)[number]

export interface ApiToken {
  name: string
  token: string
  /** What it may do; undefined: everything. */
  scopes?: readonly Scope[]
  /** Epoch milliseconds; undefined: never. */
  expiresAt?: number
}

const DAY_MS = 86_400_000
/** Characters. Shorter ones are guessed, even at the pace that is let pass. */
const SHORTEST_PASSWORD = 12
const SHORTEST_TOKEN = 16

export const boardUsers = listOf({
  expected: 'name:password:role with role viewer or operator',
  parse(entry): BoardUser | undefined {
    // The password may hold colons, a name and a role do not.
    const [, name, password, role] = /^\s*([^:\s]+):(.+):(viewer|operator)\s*$/.exec(entry) ?? []
    return name && password && role && !isQuoted(password)
      ? { name, password, role: role as BoardUser['role'] }
      : undefined
  },
  secret: { of: ({ password }) => password, shortest: SHORTEST_PASSWORD, what: 'a password' },
  distinct: { keyOf: ({ name }) => name, expected: 'each user to have a name of its own' },
})

export const apiTokens = listOf({
  expected: `name:token, then perhaps :scope (${SCOPES.join(', ')} or several, such as pay+read), perhaps :expiry (2027-01-31 or 2027-01-31T12:00:00Z), with a token in ASCII`,
  parse(entry): ApiToken | undefined {
    const [, name, token, limits] = /^\s*([^:\s]+):([!-9;-~]+)(?::(\S+))?\s*$/.exec(entry) ?? []
    if (!name || !token || isQuoted(token)) return undefined
    if (limits === undefined) return { name, token }
    const parsed = parseLimits(limits)
    return parsed && { name, token, ...parsed }
  },
  secret: { of: ({ token }) => token, shortest: SHORTEST_TOKEN, what: 'a token' },
  distinct: { keyOf: ({ token }) => token, expected: 'each name to have a token of its own' },
})

/** Without `token`: open to everybody. */
export const metricsToken = z.string().transform((text, context): { token?: string } => {
  if (text === 'open') return {}
  if (/^[!-~]+$/.test(text) && text.length >= SHORTEST_TOKEN) return { token: text }
  context.addIssue(
    `expected a token of at least ${SHORTEST_TOKEN} characters of ASCII without spaces, or the word open`,
  )
  return z.NEVER
})

/** As in the W3C's Baggage: values may be percent-encoded. */
export const otlpHeaders = listOf({
  expected: 'name=value,… with percent-encoded values',
  parse(entry): [name: string, value: string] | undefined {
    const [, name, value] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*([\x20-\x7e]*?)\s*$/.exec(entry) ?? []
    if (name === undefined || value === undefined || isQuoted(value)) return undefined
    try {
      const sent = decodeURIComponent(value)
      validateHeaderValue(name, sent)
      return [name.toLowerCase(), sent]
    } catch {
      return undefined
    }
  },
}).transform((entries): Record<string, string> => Object.fromEntries(entries))

/**
 * Entries with commas between them. `parse` returns undefined for a wrong one; none may have a `secret` that is too short, and
 * no two the same `distinct` key.
 */
function listOf<Entry>(options: {
  expected: string
  parse: (text: string) => Entry | undefined
  secret?: { of: (entry: Entry) => string; shortest: number; what: string }
  distinct?: { keyOf: (entry: Entry) => string; expected: string }
}) {
  const { expected, parse, secret, distinct } = options
  return z.string().transform((text, context): Entry[] => {
    const entries = text.split(',').flatMap((part, index) => {
      const entry = parse(part)
      if (entry === undefined)
        context.addIssue(`expected ${expected}, no part of it in quotes; entry ${index + 1} is not`)
      else if (secret && secret.of(entry).length < secret.shortest) {
        context.addIssue(
          `expected ${secret.what} of at least ${secret.shortest} characters; entry ${index + 1} has a shorter one`,
        )
      }
      return entry === undefined ? [] : [entry]
    })
    if (distinct && new Set(entries.map(distinct.keyOf)).size < entries.length) {
      context.addIssue(`expected ${distinct.expected}`)
    }
    return entries
  })
}

/** As for a shell, which has not been there to take the quotes away. */
function isQuoted(text: string): boolean {
  return /^(['"`]).*\1$/.test(text) || /^[“”„‘’].*[“”„‘’]$/.test(text)
}

/** Scopes, an expiry, or both in either order. Undefined: something else. */
function parseLimits(text: string): Pick<ApiToken, 'scopes' | 'expiresAt'> | undefined {
  const parts = text.split(':')
  const scopes = parseScopes(parts[0]) ?? parseScopes(parts.at(-1))
  if (scopes) parts.splice(parseScopes(parts[0]) ? 0 : -1, 1)
  if (parts.length === 0) return { ...(scopes && { scopes }) }
  const expiresAt = parseExpiry(parts.join(':'))
  return expiresAt === undefined ? undefined : { ...(scopes && { scopes }), expiresAt }
}

function parseScopes(text = ''): Scope[] | undefined {
  const scopes = text.split('+')
  return scopes.every((scope) => SCOPES.includes(scope as Scope)) ? (scopes as Scope[]) : undefined
}

/** Epoch milliseconds; a day counts to its end, in UTC. Undefined: neither a day nor a time. */
function parseExpiry(text: string): number | undefined {
  if (z.iso.date().safeParse(text).success) return Date.parse(`${text}T00:00:00Z`) + DAY_MS
  return z.iso.datetime({ offset: true }).safeParse(text).success ? Date.parse(text) : undefined
}
