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
  const url = URL.canParse(text) ? new URL(text) : undefined
  return /^https?:$/.test(url?.protocol ?? '') && !url?.username && !url?.password && !url?.search
}, 'expected http://host:4318 or https://…, without a user or a password: they belong in OTEL_EXPORTER_OTLP_HEADERS')
