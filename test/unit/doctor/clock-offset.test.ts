import { expect, test } from '@jest/globals'
import { clockOffset } from '../../../src/doctor/clock-offset.ts'
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
