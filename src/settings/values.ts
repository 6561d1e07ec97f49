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
    const { data, error } = schema.safeParse(text)
    for (const { message } of error?.issues ?? []) context.addIssue(`${message}, or off`)
    return data
  })

/** 0 without a unit: none. */
export const orZero = (schema: z.ZodType<number, string>) =>
  z.string().transform((text, context): number => {
    if (text === '0') return 0
    const { data = 0, error } = schema.safeParse(text)
    for (const { message } of error?.issues ?? []) context.addIssue(`${message}, or 0`)
    return data
  })

export const trueOrFalse = z.enum(['true', 'false'], 'expected true or false').transform((text) => text === 'true')

export const queueName = z
  .string()
  .regex(/^[^:\s]{1,100}$/, 'expected a name of up to 100 characters without ":" or spaces')
export const queuePrefix = z.string().regex(/^\S{1,100}$/, 'expected a prefix of up to 100 characters without spaces')

export const redisUrl = z.string().superRefine((text, context) => {
  try {
    parseRedisAddress(text)
  } catch (error) {
    context.addIssue((error as Error).message)
  }
})

/** The name in a server's certificate. */
export const serverName = z
  .string()
  .regex(/^[a-z0-9_*-]+(\.[a-z0-9_-]+)*$/i, 'expected a host name, as the certificate of the server has it')

export const host = z
  .string()
  .refine((text) => isIP(text) !== 0 || /^[a-z0-9.-]+$/i.test(text), 'expected an IP address or a host name')

export const otlpEndpoint = z.string().refine((text) => {
  const url = parseUrl(text)
  return /^https?:$/.test(url?.protocol ?? '') && !url?.username && !url?.password && !url?.search
}, 'expected http://host:4318 or https://…, without a user or a password: they belong in OTEL_EXPORTER_OTLP_HEADERS')

/** A path that begins like one of ours: below it, nobody could tell whether a proxy has taken it away. */
const OUR_PATHS = /^\/(v1|orders|board|docs|guide|script|metrics|livez|readyz|openapi\.json)(\/|$)/

/** The URL without a slash at its end. */
export const publicUrl = z.string().transform((text, context) => {
  const url = parseUrl(text)
  const isPlain = url && !url.username && !url.password && !/[?#]/.test(text)
  const path = url?.pathname.replace(/\/+$/, '') ?? ''
  if (url && isPlain && /^https?:$/.test(url.protocol) && !path.includes('//') && !OUR_PATHS.test(path)) {
    return `${url.origin}${path}`
  }
  context.addIssue(
    'expected http(s)://host[:port][/path] without a user, "?" or "#", and a path that begins with none of ours, such as /board',
  )
  return z.NEVER
})

/** Without what the parser would leave out in silence. */
function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) && !/[\t\r\n]/.test(text) ? new URL(text) : undefined
}

/** What Express and Fastify call these networks. */
const NETWORKS: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/** Networks as `address/length`, comma-separated. */
export const networks = z.string().transform((text, context): string[] =>
  text.split(',').flatMap((part, index) => {
    const given = part.trim()
    if (Object.hasOwn(NETWORKS, given)) return NETWORKS[given] as string[]
    const [, address = '', length] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(given) ?? []
    const most = { 4: 32, 6: 128 }[isIP(address)]
    if (most !== undefined && Number(length ?? most) <= most) return [`${address}/${length ?? most}`]
    const expected = 'expected addresses or networks such as 10.0.3.7, 10.0.0.0/8 or fd00::/8, or loopback, linklocal'
    context.addIssue(`${expected}, uniquelocal; entry ${index + 1} is not`)
    return []
  }),
)

export const headerName = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]{1,100}$/, 'expected the name of a header, such as X-Forwarded-User')
  .refine((text) => !/^(authorization|host|cookie)$/i.test(text), 'expected a header that only the proxy sets')
  .transform((text) => text.toLowerCase())

/** Comma-separated. */
export const names = z.string().transform((text, context): string[] => {
  const given = text.split(',').map((name) => name.trim())
  if (given.includes('')) context.addIssue('expected names with commas between them')
  return given
})
