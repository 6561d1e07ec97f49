import { beforeEach, expect, test } from '@jest/globals'
import type { Clock } from '../../../src/runtime/clock.ts'
import { RemoteClock } from '../../../src/runtime/remote-clock.ts'

const EPOCH = Date.UTC(2030, 0, 1)
const MINUTE = 60_000

/** Time as it is, and what our own clock shows. */
let passedMs: number
let ownAheadMs: number
let remote: RemoteClock

const clock: Clock = {
  now: () => EPOCH + passedMs + ownAheadMs,
  monotonic: () => passedMs,
  sleep: async () => {},
}

beforeEach(() => {
  passedMs = 0
  ownAheadMs = 0
  remote = new RemoteClock({ clock })
})

/** A clock that is right answers, after so long on the way there and back. */
const answer = ({ thereMs = 0, backMs = 0 }) =>
  remote.ask(async () => {
    passedMs += thereMs
    const there = EPOCH + passedMs
    passedMs += backMs
    return there
  })

test('shows what ours shows before the first answer', () => {
  ownAheadMs = 10 * MINUTE
  expect([remote.now(), remote.offsetMs]).toEqual([clock.now(), undefined])
})

test('an answer that fails changes nothing', async () => {
  const failed = new Error('no')
  await expect(remote.ask(() => Promise.reject(failed))).rejects.toBe(failed)
  expect(remote.offsetMs).toBeUndefined()
})

test.each([0, 3, -3])('is ours, to the millisecond, where ours may be right: off by %d ms', async (aheadMs) => {
  ownAheadMs = aheadMs
  for (const way of [{ thereMs: 1 }, { backMs: 300 }, { thereMs: 20_000, backMs: 5 }]) {
    await answer(way)
    passedMs += 4_000
    expect([remote.now(), remote.offsetMs]).toEqual([clock.now(), 0])
  }
})

test.each([10 * MINUTE, -10 * MINUTE])(
  'is off by no more than the answer took, where ours is wrong by %d ms',
  async (aheadMs) => {
    ownAheadMs = aheadMs
    await answer({ thereMs: 10, backMs: 50 })
    passedMs += 4_000
    expect(Math.abs(remote.now() - EPOCH - passedMs)).toBeLessThanOrEqual(60)
    expect(remote.offsetMs).toBe(remote.now() - clock.now())
  },
)

test('goes on as before when ours is set, at once', async () => {
  await answer({ backMs: 2 })
  for (const aheadMs of [10 * MINUTE, -10 * MINUTE, 0]) {
    ownAheadMs = aheadMs
    passedMs += 1_000
    expect(Math.abs(remote.now() - EPOCH - passedMs)).toBeLessThanOrEqual(6)
  }
})

test('tells by how much the other clock was set back since the answer before, and nothing else', async () => {
  let wrongMs = 0
  const ask = (tookMs: number) =>
    remote.ask(async () => {
      passedMs += tookMs
      return EPOCH + passedMs + wrongMs
    })
  expect(await ask(50)).toBe(0)
  ownAheadMs = 10 * MINUTE
  passedMs += 5_000
  expect(await ask(300)).toBe(0)
  wrongMs = 10 * MINUTE
  expect(await ask(300)).toBe(0)
  wrongMs = 0
  expect(Math.abs((await ask(300)) - 10 * MINUTE)).toBeLessThan(610)
  expect(await ask(0)).toBe(0)
})
