import { expect, test } from '@jest/globals'
import { clockFinding, clockOffset } from '../../../src/doctor/clock-offset.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

test('counts on the quickest answer, to half the time that it took', async () => {
  const clock = new FakeClock()
  const tooks = [400, 40, 1_000, 40, 200]
  const read = async () => {
    const tookMs = tooks.shift() ?? 0
    // The slow ones wait on the way back, which makes the other clock look too early.
    const there = clock.now() + 7_000 + (tookMs === 40 ? 20 : 0)
    await clock.advance(tookMs)
    return there
  }

  expect(await clockOffset({ clock, read })).toEqual({ offsetMs: 7_000, marginMs: 21 })
  expect(tooks).toEqual([])
})

test.each([
  [999, 0, 'ok'],
  [-1_001, 0, 'warning'],
  [1_500, 600, 'ok'], // it may be less than a second
  [30_001, 0, 'error'],
  [-30_500, 600, 'warning'],
])('clocks that differ by %d ms, give or take %d: %s', (offsetMs, marginMs, level) => {
  expect(clockFinding({ code: 'redis-clock', offsetMs, marginMs, meaning: 'x' }).level).toBe(level)
})
