import { expect, test } from '@jest/globals'
import { retryDelayMs } from '../../../src/outbox/retry-schedule.ts'

const HOUR = 3_600_000

test('ten attempts within some three days, with jitter, as Standard Webhooks recommends', () => {
  const delays = (random: number) =>
    Array.from({ length: 11 }, (_, n) => retryDelayMs({ failures: n + 1, random: () => random }))
  const [least, most] = [delays(0), delays(1)]
  expect(least.map((ms) => ms && ms / 1_000)).toEqual([
    5,
    300,
    1_800,
    7_200,
    18_000,
    36_000,
    50_400,
    72_000,
    86_400,
    undefined,
    undefined,
  ])
  for (const [n, ms] of least.entries()) if (ms) expect(most[n]).toBeGreaterThan(ms)
})

test('never sooner than the receiver asks for, up to an hour', () => {
  expect(retryDelayMs({ failures: 1, retryAfterMs: 60_000, random: () => 0 })).toBe(60_000)
  expect(retryDelayMs({ failures: 2, retryAfterMs: 60_000, random: () => 0 })).toBe(300_000)
  expect(retryDelayMs({ failures: 1, retryAfterMs: 100 * HOUR, random: () => 0 })).toBe(HOUR)
})
