import { validateHeaderValue } from 'node:http'
import { z } from 'zod'

export interface BoardUser {
  name: string
  password: string
  role: 'viewer' | 'operator'
}

export interface ApiToken {
  name: string
  token: string
  /** Epoch milliseconds; undefined: never. */
  expiresAt?: number
}

const DAY_MS = 86_400_000

export const boardUsers = listOf({
  expected: 'name:password:role with role viewer or operator',
  parse(entry): BoardUser | undefined {
    // The password may hold colons, a name and a role do not.
    const [, name, password, role] = /^\s*([^:\s]+):(.+):(viewer|operator)\s*$/.exec(entry) ?? []
    return name && password && role ? { name, password, role: role as BoardUser['role'] } : undefined
  },
  distinct: { keyOf: ({ name }) => name, expected: 'each user to have a name of its own' },
})

export const apiTokens = listOf({
  expected:
    'name:token or name:token:expiry, with a token in ASCII and an expiry such as 2027-01-31 or 2027-01-31T12:00:00Z',
  parse(entry): ApiToken | undefined {
    const [, name, token, expiry] = /^\s*([^:\s]+):([!-9;-~]+)(?::(\S+))?\s*$/.exec(entry) ?? []
    if (!name || !token) return undefined
    if (expiry === undefined) return { name, token }
    const expiresAt = parseExpiry(expiry)
    return expiresAt === undefined ? undefined : { name, token, expiresAt }
  },
  distinct: { keyOf: ({ token }) => token, expected: 'each name to have a token of its own' },
})

/** As in the W3C's Baggage: values may be percent-encoded. */
export const otlpHeaders = listOf({
  expected: 'name=value,… with percent-encoded values',
  parse(entry): [name: string, value: string] | undefined {
    const [, name, value] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*([\x20-\x7e]*?)\s*$/.exec(entry) ?? []
    if (name === undefined || value === undefined) return undefined
    try {
      const sent = decodeURIComponent(value)
      validateHeaderValue(name, sent)
      return [name.toLowerCase(), sent]
    } catch {
      return undefined
    }
  },
}).transform((entries): Record<string, string> => Object.fromEntries(entries))

/** Entries with commas between them. `parse` returns undefined for a wrong one; no two may have the same `distinct` key. */
function listOf<Entry>(options: {
  expected: string
  parse: (text: string) => Entry | undefined
  distinct?: { keyOf: (entry: Entry) => string; expected: string }
}) {
  const { expected, parse, distinct } = options
  return z.string().transform((text, context): Entry[] => {
    const entries = text.split(',').flatMap((part, index) => {
      const entry = parse(part)
      if (entry === undefined) context.addIssue(`expected ${expected}; entry ${index + 1} is not`)
      return entry === undefined ? [] : [entry]
    })
    if (distinct && new Set(entries.map(distinct.keyOf)).size < entries.length) {
      context.addIssue(`expected ${distinct.expected}`)
    }
    return entries
  })
}

/** Epoch milliseconds; a day counts to its end, in UTC. Undefined: neither a day nor a time. */
function parseExpiry(text: string): number | undefined {
  if (z.iso.date().safeParse(text).success) return Date.parse(`${text}T00:00:00Z`) + DAY_MS
  return z.iso.datetime({ offset: true }).safeParse(text).success ? Date.parse(text) : undefined
}
