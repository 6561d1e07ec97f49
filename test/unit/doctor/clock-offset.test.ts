import { expect, test } from '@jest/globals'
import { compareClocks } from '../../../src/doctor/clock-offset.ts'
import type { Finding } from '../../../src/doctor/finding.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

/** What is said of a clock that differs by `offsetMs`, of which each answer takes as long as the next of `tooksMs`. */
function compare(offsetMs: number, tooksMs: number[]): Promise<Finding> {
  const clock = new FakeClock()
  const quickest = Math.min(...tooksMs)
  const read = async () => {
    const tookMs = tooksMs.shift() ?? 0
    // The slow ones wait on the way back, which makes the other clock look too early.
    const there = clock.now() + offsetMs + (tookMs === quickest ? tookMs / 2 : 0)
    await clock.advance(tookMs)
    return there
  }
  return compareClocks({ code: 'redis-clock', meaning: 'x', clock, read })
}

test('counts on the quickest answer, to half the time that it took', async () => {
  const tooksMs = [400, 40, 1_000, 40, 200]
  expect((await compare(7_000, tooksMs)).what).toBe('7.0 s ahead of the clock here (± 21 ms)')
  expect(tooksMs).toEqual([])
})

test.each([
  [1_001, 0, 'ok'], // an answer is known to a millisecond at best
  [-1_002, 0, 'warning'],
  [1_500, 1_200, 'ok'], // it may be less than a second
  [30_002, 0, 'error'],
  [-30_500, 1_200, 'warning'],
])('clocks that differ by %d ms, of which an answer takes %d ms: %s', async (offsetMs, tookMs, level) => {
  expect((await compare(offsetMs, [tookMs, tookMs, tookMs, tookMs, tookMs])).level).toBe(level)
})
