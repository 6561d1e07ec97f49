import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { DURATION_FORMAT, formatDuration, parseDuration } from '../../../src/runtime/duration.ts'

describe('parseDuration', () => {
  test.each([
    ['0ms', 0],
    ['250ms', 250],
    ['30s', 30_000],
    ['15m', 900_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['007s', 7_000],
    [' 5m ', 300_000],
  ])('reads %j as %d milliseconds', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test.each([
    '',
    '15',
    'm',
    '-5m',
    '+5m',
    '1.5h',
    '1,5h',
    '5 m',
    '5M',
    '5min',
    '1h30m',
    '1e3ms',
    'PT5M',
    '٣s',
    '1234567890123ms',
  ])('refuses %j', (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })

  test('reads every example of the format that messages show', () => {
    const examples = DURATION_FORMAT.match(/\d+[a-z]+/g) ?? []
    expect(examples).toHaveLength(5)
    expect(examples.map(parseDuration)).not.toContain(undefined)
  })
})

describe('formatDuration', () => {
  test.each([
    [0, '0ms'],
    [1, '1ms'],
    [1_500, '1500ms'],
    [90_000, '90s'],
    [900_000, '15m'],
    [5_400_000, '90m'],
    [86_400_000, '1d'],
    [36 * 3_600_000, '36h'],
  ])('writes %d milliseconds as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  test('writes what parseDuration reads back', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000_000), fc.constantFrom(1, 1_000, 60_000, 3_600_000), (count, unit) => {
        expect(parseDuration(formatDuration(count * unit))).toBe(count * unit)
      }),
    )
  })
})
