import { validateHeaderValue } from 'node:http'
import { isIP } from 'node:net'
import { z } from 'zod'
import { parseRedisAddress } from '../redis/address.ts'
import { DURATION_FORMAT, formatDuration, parseDuration } from '../runtime/duration.ts'

export const duration = (least: number, most: number) =>
  z.string().transform((text, context) => {
    const ms = parseDuration(text)
    if (ms !== undefined && ms >= least && ms <= most) return ms
    context.addIssue(`expected ${DURATION_FORMAT}, from ${formatDuration(least)} to ${formatDuration(most)}`)
    return z.NEVER
  })

export const integer = (least: number, most: number) =>
  z.string().transform((text, context) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    context.addIssue(`expected a whole number from ${least} to ${most}`)
    return z.NEVER
  })

/** Undefined: off. */
export const orOff = <T>(schema: z.ZodType<T, string>) =>
  z.string().transform((text, context): T | undefined => {
    if (text === 'off') return undefined
    const parsed = schema.safeParse(text)
    if (parsed.success) return parsed.data
    for (const { message } of parsed.error.issues) context.addIssue(`${message}, or off`)
    return z.NEVER
  })

export const queueName = z
  .string()
  .regex(/^[^:\s]{1,100}$/, 'expected a name of up to 100 characters without ":" or spaces')
export const columnName = z
  .string()
  .refine((text) => Buffer.byteLength(text) <= 63, 'expected a column name of up to 63 bytes')
export const orderStatus = z.string().trim().min(1, 'expected a status')

export const redisUrl = z.string().refine((text) => {
  try {
    return Boolean(parseRedisAddress(text))
  } catch {
    return false
  }
}, 'expected redis://[user:password@]host[:port][/db], rediss://… or unix:///path')

export const databaseUrl = z
  .string()
  .refine(
    (text) => URL.canParse(text) && ['postgres:', 'postgresql:'].includes(new URL(text).protocol),
    'expected postgres://user:password@host:5432/database',
  )

export const host = z
  .string()
  .refine((text) => isIP(text) !== 0 || /^[a-z0-9.-]+$/i.test(text), 'expected an IP address or a host name')

export const otlpEndpoint = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return /^https?:$/.test(url?.protocol ?? '') && !url?.username && !url?.password && !url?.search
}, 'expected http://host:4318 or https://…, without a user or a password, which belong into OTEL_EXPORTER_OTLP_HEADERS')

/** As in the W3C's Baggage: values may be percent-encoded. */
export const otlpHeaders = z.string().transform((text, context): Record<string, string> => {
  const entries = text.split(',').flatMap((entry, index) => {
    const [, name, value] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*([\x20-\x7e]*?)\s*$/.exec(entry) ?? []
    try {
      if (name !== undefined && value !== undefined) {
        const sent = decodeURIComponent(value)
        validateHeaderValue(name, sent)
        return [[name.toLowerCase(), sent]]
      }
    } catch {} // said below
    context.addIssue(`expected name=value,… with percent-encoded values, entry ${index + 1} is not`)
    return []
  })
  return Object.fromEntries(entries)
})

export interface BoardUser {
  name: string
  password: string
  role: 'viewer' | 'operator'
}

export const boardUsers = z.string().transform((text, context): BoardUser[] => {
  const users = text.split(',').flatMap((entry, index) => {
    // The password may hold colons, a name and a role do not.
    const match = /^\s*([^:\s]+):(.+):(viewer|operator)\s*$/.exec(entry)
    if (match) return [{ name: match[1] as string, password: match[2] as string, role: match[3] as BoardUser['role'] }]
    context.addIssue(`expected name:password:role with role viewer or operator, entry ${index + 1} is not`)
    return []
  })
  if (new Set(users.map(({ name }) => name)).size < users.length) context.addIssue('expected a name of its own each')
  return users
})

export interface ApiToken {
  name: string
  token: string
  /** Epoch milliseconds; undefined: never. */
  expiresAt?: number
}

export const apiTokens = z.string().transform((text, context): ApiToken[] => {
  const tokens = text.split(',').flatMap((entry, index) => {
    const match = /^\s*([^:\s]+):([!-9;-~]+)(?::(\S+))?\s*$/.exec(entry)
    const expiresAt = parseExpiry(match?.[3])
    if (!match || Number.isNaN(expiresAt)) {
      context.addIssue(
        `expected name:token or name:token:expiry, the token of ASCII characters, expiry such as 2027-01-31 or 2027-01-31T12:00:00Z, entry ${index + 1} is not`,
      )
      return []
    }
    return [{ name: match[1] as string, token: match[2] as string, ...(expiresAt !== undefined && { expiresAt }) }]
  })
  if (new Set(tokens.map(({ token }) => token)).size < tokens.length)
    context.addIssue('expected a token of its own each')
  return tokens
})

/** Epoch milliseconds; a day counts to its end, in UTC. NaN: neither a day nor a time. */
function parseExpiry(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (z.iso.date().safeParse(text).success) return Date.parse(`${text}T00:00:00Z`) + DAY_MS
  return z.iso.datetime({ offset: true }).safeParse(text).success ? Date.parse(text) : Number.NaN
}

const DAY_MS = 86_400_000
