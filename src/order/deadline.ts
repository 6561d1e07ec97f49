import { z } from 'zod'
import { OrderExpiryError } from '../errors.ts'
import { DURATION_FORMAT, parseDuration } from '../runtime/duration.ts'

/** When an order must be paid: a Date, epoch milliseconds, ISO 8601 with an offset, or a time-out such as `'15m'`. */
export type DeadlineInput = Date | number | string

/** How far ahead a deadline may be. */
export const MAX_AHEAD_MS = 366 * 86_400_000
const MAX_PAST_MS = 60_000
/** 2001-09-09. Anything earlier is a time in seconds, or a mistake; it must not cancel an order at once. */
export const FLOOR_MS = 1_000_000_000_000
/** The last instant that a Date can hold, in either direction. */
export const LAST_MS = 8.64e15

/** What a caller calls what it gives, for the texts of errors. */
export interface DeadlineNames {
  deadline: string
  /** Where a time-out has a name of its own. */
  timeout: string
  /** How a deadline in the past is permitted. */
  allowPast: string
}

const NAMES = { deadline: 'deadline', allowPast: 'allowPast' }
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
  const { deadline: name } = NAMES
  const timeoutMs = typeof input === 'string' ? parseDuration(input) : undefined
  const deadline = timeoutMs === undefined ? parseInstant({ input, expected: ANY_DEADLINE, name }) : now + timeoutMs
  return checkRange({ deadline, now, name, permit: allowPast ? undefined : NAMES.allowPast })
}

/**
 * Checks the deadline of a caller who has one name for a point in time and another for a time-out.
 *
 * @returns what a client is to be given; undefined: neither was given
 * @throws {OrderExpiryError} INVALID_DEADLINE
 */
export function parseDeadlineOrTimeout(options: {
  deadline?: number | string | undefined
  timeout?: string | undefined
  allowPast?: boolean | undefined
  now: number
  names: DeadlineNames
}): number | string | undefined {
  const { deadline, timeout, allowPast, now, names } = options
  if (deadline !== undefined && timeout !== undefined) {
    throw new OrderExpiryError('INVALID_DEADLINE', `expected ${names.deadline} or ${names.timeout}, given both`)
  }
  const input = deadline ?? timeout
  if (input === undefined) return undefined
  const name = deadline === undefined ? names.timeout : names.deadline
  const timeoutMs = typeof input === 'string' ? parseDuration(input) : undefined
  if (deadline === undefined && timeoutMs === undefined)
    throw invalid({ name, expected: DURATION_FORMAT, given: shown(input) })
  if (deadline !== undefined && timeoutMs !== undefined) {
    throw invalid({ name, expected: CONTRACT, given: `${shown(input)}; a duration goes into ${names.timeout}` })
  }
  const instant = timeoutMs === undefined ? parseInstant({ input, expected: CONTRACT, name }) : now + timeoutMs
  checkRange({ deadline: instant, now, name, permit: allowPast ? undefined : names.allowPast })
  return input
}

/** The same for a deadline as the job contract writes it. It may lie in the past, however far, since a job can be late. */
export function parseContractDeadline({ input, now }: { input: unknown; now: number }): number {
  const name = NAMES.deadline
  return checkRange({ deadline: parseInstant({ input, expected: CONTRACT, name }), now, name })
}

function parseInstant({ input, expected, name }: { input: unknown; expected: string; name: string }): number {
  if (input instanceof Date) {
    if (Number.isNaN(input.getTime())) throw invalid({ name, expected, given: 'an invalid Date' })
    return input.getTime()
  }
  if (typeof input === 'number') {
    if (!Number.isFinite(input)) throw invalid({ name, expected, given: String(input) })
    return Math.ceil(input)
  }
  if (typeof input !== 'string') throw invalid({ name, expected, given: input === null ? 'null' : typeof input })
  return parseIso({ text: input, expected, name })
}

/** ISO 8601, with what producers in other languages write: a space for the T, no seconds, `+0100` or `+01` for `+01:00`. */
function parseIso({ text, expected, name }: { text: string; expected: string; name: string }): number {
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
    throw invalid({ name, expected, given: `${shown(text)}, which has no offset, so it could be any of 38 hours` })
  }
  if (/^\d+$/.test(text.trim()))
    throw invalid({ name, expected, given: `${shown(text)}, a number written as a string` })
  throw invalid({ name, expected, given: shown(text) })
}

/** @param options.permit how a deadline in the past is permitted; undefined: it is */
function checkRange(options: { deadline: number; now: number; name: string; permit?: string | undefined }): number {
  const { deadline, now, name, permit } = options
  const refuse = (why: string) => outOfRange({ deadline, name, why })
  if (deadline < FLOOR_MS) throw refuse(': is it in seconds? Milliseconds are expected')
  if (deadline > now + MAX_AHEAD_MS) throw refuse(', which is over a year ahead')
  if (permit !== undefined && deadline < now - MAX_PAST_MS) {
    throw refuse(`, which is in the past by over a minute (${permit} permits it)`)
  }
  return deadline
}

function outOfRange({ deadline, name, why }: { deadline: number; name: string; why: string }): OrderExpiryError {
  const instant = Math.abs(deadline) <= LAST_MS ? new Date(deadline).toISOString() : `${deadline} ms after 1970`
  return new OrderExpiryError('INVALID_DEADLINE', `${name}: understood as ${instant}${why}`)
}

function invalid({ name, expected, given }: { name: string; expected: string; given: string }): OrderExpiryError {
  return new OrderExpiryError('INVALID_DEADLINE', `${name}: expected ${expected}, given ${given}`)
}

function shown(given: number | string): string {
  return JSON.stringify(typeof given === 'string' ? given.slice(0, 64) : given)
}
