import { z } from 'zod'
import { OrderExpiryError } from '../errors.ts'
import { DURATION_FORMAT, parseDuration } from '../runtime/duration.ts'

/** When an order must be paid: a Date, epoch milliseconds, ISO 8601 with an offset, or a time-out such as `'15m'`. */
export type DeadlineInput = Date | number | string

const MAX_AHEAD_MS = 366 * 86_400_000
const MAX_PAST_MS = 60_000
/** 2001-09-09. Anything earlier is a time in seconds, or a mistake; it must not cancel an order at once. */
export const FLOOR_MS = 1_000_000_000_000
/** The last instant that a Date can hold, in either direction. */
export const LAST_MS = 8.64e15

const CONTRACT = 'epoch milliseconds or ISO 8601 with an offset'
const ANY_DEADLINE = `a Date, ${CONTRACT}, or ${DURATION_FORMAT}`

const isoDateTime = z.iso.datetime({ offset: true })

/**
 * Epoch milliseconds of a deadline, rounded up, so that an order is never due before it.
 *
 * @throws {OrderExpiryError} INVALID_DEADLINE: not a point in time, before 2001, over a year ahead or, unless `allowPast`,
 *   more than a minute in the past. The message says what was understood.
 */
export function parseDeadline(options: { input: unknown; now: number; allowPast?: boolean }): number {
  const { input, now, allowPast = false } = options
  const timeoutMs = typeof input === 'string' ? parseDuration(input) : undefined
  const deadline = timeoutMs === undefined ? parseInstant(input, ANY_DEADLINE) : now + timeoutMs
  return checkRange({ deadline, now, allowPast })
}

/** The same for a deadline as the job contract writes it. It may lie in the past, however far, since a job can be late. */
export function parseContractDeadline({ input, now }: { input: unknown; now: number }): number {
  return checkRange({ deadline: parseInstant(input, CONTRACT), now, allowPast: true })
}

function parseInstant(input: unknown, expected: string): number {
  if (input instanceof Date) {
    if (Number.isNaN(input.getTime())) throw invalid(expected, 'an invalid Date')
    return input.getTime()
  }
  if (typeof input === 'number') {
    if (!Number.isFinite(input)) throw invalid(expected, String(input))
    return Math.ceil(input)
  }
  if (typeof input !== 'string') throw invalid(expected, input === null ? 'null' : typeof input)
  return parseIso(input, expected)
}

/** ISO 8601, with what producers in other languages write: a space for the T, no seconds, `+0100` or `+01` for `+01:00`. */
function parseIso(text: string, expected: string): number {
  const normal = text
    .trim()
    .toUpperCase()
    .replace(/^(\d{4}-\d\d-\d\d) /, '$1T')
    .replace(/(T\d\d:\d\d)(?=Z|[+-])/, '$1:00')
    .replace(/([+-]\d\d)(\d\d)?$/, (_, hours: string, minutes: string | undefined) => `${hours}:${minutes ?? '00'}`)
  if (isoDateTime.safeParse(normal).success) {
    // Date has milliseconds, and misreads a fraction of many digits; a deadline may only become later.
    const [, finer = ''] = /\.\d{3}(\d+)/.exec(normal) ?? []
    return Date.parse(normal.replace(/(\.\d{3})\d+/, '$1')) + (/[1-9]/.test(finer) ? 1 : 0)
  }
  if (/^\d{4}-\d\d-\d\d([T ][\d:.]+)?$/.test(text.trim())) {
    throw invalid(expected, `${JSON.stringify(text)}, which has no offset, so it could be any of 38 hours`)
  }
  if (/^\d+$/.test(text.trim())) throw invalid(expected, `${JSON.stringify(text)}, a number written as a string`)
  throw invalid(expected, JSON.stringify(text.slice(0, 64)))
}

function invalid(expected: string, given: string): OrderExpiryError {
  return new OrderExpiryError('INVALID_DEADLINE', `deadline: expected ${expected}, given ${given}`)
}

function checkRange({ deadline, now, allowPast }: { deadline: number; now: number; allowPast: boolean }): number {
  if (deadline < FLOOR_MS) throw outOfRange(deadline, ': is it in seconds? Milliseconds are expected')
  if (deadline > now + MAX_AHEAD_MS) throw outOfRange(deadline, ', which is over a year ahead')
  if (!allowPast && deadline < now - MAX_PAST_MS) {
    throw outOfRange(deadline, ', which is in the past by over a minute (allowPast permits it)')
  }
  return deadline
}

function outOfRange(deadline: number, why: string): OrderExpiryError {
  const instant = Math.abs(deadline) <= LAST_MS ? new Date(deadline).toISOString() : `${deadline} ms after 1970`
  return new OrderExpiryError('INVALID_DEADLINE', `deadline: understood as ${instant}${why}`)
}
