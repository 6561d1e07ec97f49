import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseContractDeadline, parseDeadline, parseDeadlineOrTimeout } from '../../../src/order/deadline.ts'

const NOW = Date.UTC(2026, 1, 1, 12)
const MINUTE = 60_000
const DAY = 86_400_000
const YEAR = 366 * DAY
/** Before this, 2001-09-09, milliseconds are taken for seconds. */
const EARLIEST = 1e12

const parse = (input: unknown, allowPast?: boolean) =>
  parseDeadline({ input, now: NOW, ...(allowPast !== undefined && { allowPast }) })

function invalid(message: RegExp) {
  return expect.objectContaining({ code: 'INVALID_DEADLINE', message: expect.stringMatching(message) })
}

describe('a point in time', () => {
  const TEN = Date.UTC(2026, 1, 28, 10)

  test.each<[what: string, input: unknown, deadline: number]>([
    ['a Date', new Date(TEN), TEN],
    ['epoch milliseconds', TEN, TEN],
    ['a fraction of a millisecond, rounded up', TEN + 0.001, TEN + 1],
    ['UTC', '2026-02-28T10:00:00Z', TEN],
    ['UTC with milliseconds', '2026-02-28T10:00:00.123Z', TEN + 123],
    ['UTC with one decimal', '2026-02-28T10:00:00.5Z', TEN + 500],
    ['without seconds, as Java writes a whole minute', '2026-02-28T10:00Z', TEN],
    ['without seconds, with an offset', '2026-02-28T11:00+01:00', TEN],
    ['microseconds, rounded up', '2026-02-28T10:00:00.123001Z', TEN + 124],
    ['microseconds that are whole milliseconds', '2026-02-28T10:00:00.123000Z', TEN + 123],
    ['nanoseconds, rounded up', '2026-02-28T10:00:00.000000001+00:00', TEN + 1],
    ['nanoseconds, rounded up to the next second', '2026-02-28T09:59:59.999999999Z', TEN],
    ['picoseconds, rounded up', '2026-02-28T10:00:00.000100000000Z', TEN + 1],
    ['the offset +01:00', '2026-02-28T11:00:00+01:00', TEN],
    ['the offset +0100', '2026-02-28T11:00:00+0100', TEN],
    ['the offset +01', '2026-02-28T11:00:00+01', TEN],
    ['the offset -03:30', '2026-02-28T06:30:00-03:30', TEN],
    ['the offset -0330', '2026-02-28T06:30:00-0330', TEN],
    ['the offset +00:00', '2026-02-28T10:00:00+00:00', TEN],
    ['a space for the T, as PostgreSQL writes it', '2026-02-28 10:00:00+00', TEN],
    ['a space for the T and microseconds', '2026-02-28 15:30:00.123456+05:30', TEN + 124],
    ['another day than in UTC', '2026-03-01T00:00:00+14:00', TEN],
    ['lower case, which RFC 3339 allows', '2026-02-28t10:00:00z', TEN],
    ['blanks around it', ' 2026-02-28T10:00:00Z\n', TEN],
    ['29 February of a leap year', '2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ])('reads %s', (_, input, deadline) => {
    expect(parse(input, true)).toBe(deadline)
    expect(parseContractDeadline({ input, now: NOW })).toBe(deadline)
  })

  test.each<[what: string, input: unknown, message: RegExp]>([
    ['NaN', Number.NaN, /given NaN/],
    ['Infinity', Number.POSITIVE_INFINITY, /given Infinity/],
    ['-Infinity', Number.NEGATIVE_INFINITY, /given -Infinity/],
    ['an invalid Date', new Date('tomorrow'), /an invalid Date/],
    ['an empty string', '', /given ""/],
    ['words', 'tomorrow', /given "tomorrow"/],
    ['ISO 8601 without an offset', '2026-02-28T10:00:00', /no offset/],
    ['ISO 8601 without an offset, with milliseconds', '2026-02-28T10:00:00.123', /no offset/],
    ['ISO 8601 without an offset and seconds', '2026-02-28T10:00', /no offset/],
    ['a time of SQL without an offset', '2026-02-28 10:00:00', /no offset/],
    ['ISO 8601 without an offset, but with blanks', ' 2026-02-28T10:00:00 ', /no offset/],
    ['a date alone', '2026-02-28', /no offset/],
    ['digits as a string', '1795375176587', /number written as a string/],
    ['digits as a string, with blanks', ' 1795375176587 ', /number written as a string/],
    ['30 February', '2026-02-30T00:00:00Z', /2026-02-30/],
    ['29 February of a common year', '2026-02-29T00:00:00Z', /2026-02-29/],
    ['31 April', '2026-04-31T00:00:00+02:00', /2026-04-31/],
    ['month 13', '2026-13-01T00:00:00Z', /2026-13-01/],
    ['hour 24', '2026-02-28T24:00:00Z', /T24:00:00Z/],
    ['hour 25', '2026-02-28T25:00:00Z', /T25:00:00Z/],
    ['hour 24 without seconds', '2026-02-28T24:00Z', /T24:00Z/],
    ['minute 60', '2026-02-28T10:60:00Z', /T10:60:00Z/],
    ['the offset +24:00', '2026-02-28T10:00:00+24:00', /\+24:00/],
    ['the name of a zone', '2026-02-28T10:00:00[Europe/Paris]', /Europe/],
    ['RFC 2822', 'Sat, 28 Feb 2026 10:00:00 GMT', /GMT/],
    ['null', null, /given null/],
    ['undefined', undefined, /given undefined/],
    ['a boolean', true, /given boolean/],
    ['a bigint', 1795375176587n, /given bigint/],
    ['an object', {}, /given object/],
    ['an array', [NOW], /given object/],
  ])('refuses %s, with INVALID_DEADLINE and what was given', (_, input, message) => {
    expect(() => parse(input)).toThrow(invalid(message))
    expect(() => parseContractDeadline({ input, now: NOW })).toThrow(invalid(message))
  })

  test('shows no more than the beginning of a long string', () => {
    expect(() => parse('x'.repeat(10_000))).toThrow(invalid(/^.{1,300}$/))
  })

  test('is read back from what toISOString writes, to the millisecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: EARLIEST, max: NOW + YEAR }), (instant) => {
        expect(parse(new Date(instant).toISOString(), true)).toBe(instant)
        expect(parseContractDeadline({ input: new Date(instant).toISOString(), now: NOW })).toBe(instant)
      }),
    )
  })

  test('is the same in every offset, however that is written', () => {
    const writings = [
      (sign: string, h: string, m: string) => `${sign}${h}:${m}`,
      (sign: string, h: string, m: string) => sign + h + m,
    ]
    fc.assert(
      fc.property(
        fc.integer({ min: EARLIEST, max: NOW + YEAR }),
        fc.integer({ min: -14 * 60, max: 14 * 60 }),
        fc.constantFrom(...writings),
        fc.constantFrom('T', ' '),
        (instant, offset, write, separator) => {
          const wall = new Date(instant + offset * MINUTE).toISOString().slice(0, -1).replace('T', separator)
          const [h, m] = [Math.trunc(Math.abs(offset) / 60), Math.abs(offset) % 60].map((n) =>
            String(n).padStart(2, '0'),
          )
          expect(parse(wall + write(offset < 0 ? '-' : '+', h ?? '', m ?? ''), true)).toBe(instant)
        },
      ),
    )
  })

  test('is never taken for an earlier one, and for a later one by less than a millisecond', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: EARLIEST / 1_000, max: (NOW + YEAR) / 1_000 - 1 }),
        fc.oneof(fc.stringMatching(/^[0-9]{1,12}$/), fc.stringMatching(/^0{1,6}[0-9]{1,6}$/)),
        (seconds, decimals) => {
          const text = new Date(seconds * 1_000).toISOString().replace('.000Z', `.${decimals}Z`)
          // In units of 10^-12 s, without rounding.
          const exact = BigInt(seconds) * 10n ** 12n + BigInt(decimals.padEnd(12, '0'))
          const above = BigInt(parse(text, true)) * 10n ** 9n - exact
          expect(above).toBeGreaterThanOrEqual(0n)
          expect(above).toBeLessThan(10n ** 9n)
        },
      ),
    )
  })
})

describe('a time-out', () => {
  test.each([
    ['15m', 15 * MINUTE],
    ['250ms', 250],
    ['0s', 0],
    ['366d', YEAR],
  ])('%s counts from now', (input, ms) => {
    expect(parse(input)).toBe(NOW + ms)
  })

  test.each(['367d', '999999999999d'])('%s is refused as over a year ahead', (input) => {
    expect(() => parse(input)).toThrow(invalid(/over a year ahead/))
  })

  test.each(['-15m', '1.5h', '15 m', '15'])('%j is refused', (input) => {
    expect(() => parse(input)).toThrow(invalid(/given/))
  })

  test('is refused on a job, whose message does not offer it', () => {
    const read = () => parseContractDeadline({ input: '15m', now: NOW })
    expect(read).toThrow(invalid(/given "15m"/))
    expect(read).not.toThrow(/a duration/)
  })
})

describe('the range', () => {
  test.each([
    ['now', NOW],
    ['a minute in the past', NOW - MINUTE],
    ['a year ahead', NOW + YEAR],
  ])('takes %s', (_, instant) => {
    expect(parse(instant)).toBe(instant)
    expect(parse(new Date(instant))).toBe(instant)
    expect(parse(new Date(instant).toISOString())).toBe(instant)
  })

  test.each([
    ['over a minute in the past', NOW - MINUTE - 1, /understood as 2026-02-01T11:58:59\.999Z, .*past/],
    ['over a year ahead', NOW + YEAR + 1, /understood as 2027-02-02T12:00:00\.001Z, .*over a year ahead/],
    ['microseconds', NOW * 1_000, /over a year ahead/],
    ['a number just beyond any Date', 8.64e15 + 1, /over a year ahead/],
    ['a number far beyond any date', 1e300, /over a year ahead/],
    ['seconds instead of milliseconds', NOW / 1_000, /understood as 1970-01-21.*seconds/],
    ['a negative number', -1, /understood as 1969-12-31/],
    ['a number far before any date', -1e300, /understood as/],
    ['zero, which is most often a missing value', 0, /understood as 1970-01-01/],
  ])('refuses %s, saying what was understood', (_, input, message) => {
    expect(() => parse(input)).toThrow(invalid(message))
  })

  test('takes the past, however far, with allowPast', () => {
    expect(parse(NOW - MINUTE - 1, true)).toBe(NOW - MINUTE - 1)
    expect(parse(EARLIEST, true)).toBe(EARLIEST)
  })

  test.each([
    ['seconds', NOW / 1_000],
    ['the last millisecond that could be meant in seconds', EARLIEST - 1],
    ['over a year ahead', NOW + YEAR + 1],
  ])('refuses %s even with allowPast', (_, input) => {
    expect(() => parse(input, true)).toThrow(invalid(/understood as/))
  })

  test('of a job may lie in the past, but not over a year ahead', () => {
    expect(parseContractDeadline({ input: NOW - 300 * DAY, now: NOW })).toBe(NOW - 300 * DAY)
    expect(() => parseContractDeadline({ input: NOW + YEAR + 1, now: NOW })).toThrow(invalid(/over a year ahead/))
    expect(() => parseContractDeadline({ input: NOW / 1_000, now: NOW })).toThrow(invalid(/seconds/))
  })
})

describe('a caller with a name of its own for each part', () => {
  const names = { deadline: '--deadline', timeout: '--timeout', allowPast: '--allow-past' }
  const given = (parts: { deadline?: number | string; timeout?: string; allowPast?: boolean }) => () =>
    parseDeadlineOrTimeout({ ...parts, now: NOW, names })

  test.each([
    [{ deadline: NOW + MINUTE }, NOW + MINUTE],
    [{ timeout: '15m' }, '15m'],
    [{ deadline: NOW - DAY, allowPast: true }, NOW - DAY],
    [{}, undefined],
  ])('%j is %p for the client', (parts, wanted) => {
    expect(given(parts)()).toBe(wanted)
  })

  test.each<[parts: Parameters<typeof given>[0], message: RegExp]>([
    [{ deadline: 'soon' }, /^--deadline: expected epoch milliseconds or ISO 8601 with an offset, given "soon"$/],
    [{ deadline: '15m' }, /^--deadline: .*given "15m"; a duration goes into --timeout$/],
    [{ deadline: NOW - DAY }, /^--deadline: understood as .* \(--allow-past permits it\)$/],
    [{ deadline: NOW + 2 * YEAR }, /^--deadline: .*over a year ahead$/],
    [{ deadline: 'x'.repeat(1_000) }, /^.{1,200}$/],
    [{ deadline: '1'.repeat(1_000) }, /^.{1,200}$/],
    [{ timeout: 'soon' }, /^--timeout: expected a duration such as .*, given "soon"$/],
    [{ timeout: '2026-02-28T10:00:00Z' }, /^--timeout: expected a duration/],
    [{ timeout: '400d' }, /^--timeout: .*over a year ahead$/],
    [{ deadline: NOW, timeout: '1m' }, /^expected --deadline or --timeout, given both$/],
  ])('%j is refused with those names', (parts, message) => {
    expect(given(parts)).toThrow(invalid(message))
  })
})
