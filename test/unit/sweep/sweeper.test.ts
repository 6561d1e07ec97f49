import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import { EventBus } from '../../../src/observe/events.ts'
import { Heartbeat } from '../../../src/runtime/heartbeat.ts'
import { createSweeper, type SweepPart } from '../../../src/sweep/sweeper.ts'
import type { SweepResult } from '../../../src/sweep/tally.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

const EVERY = 60_000
const nothing: SweepResult = { overdue: 0, outcomes: {}, upcoming: 0, added: 0 }
const running = new AbortController().signal

function createRun(
  options: {
    random?: number
    everyMs?: number
    aheadMs?: number
    sweep?: (part: SweepPart) => Promise<SweepResult>
    onSwept?: () => Promise<void>
    isRedisAway?: () => boolean
  } = {},
) {
  const {
    random = 0.5,
    everyMs = EVERY,
    aheadMs = 10 * EVERY,
    sweep = async () => nothing,
    onSwept = async () => {},
    isRedisAway = () => false,
  } = options
  const clock = new FakeClock()
  const events = new EventBus()
  const finished: unknown[] = []
  events.on('sweep-finished', (e) => finished.push(e))
  const heartbeat = new Heartbeat({ name: 'sweeper', clock })
  /** When each sweep began, counted from the start. */
  const sweeps: number[] = []
  const parts: SweepPart[] = []
  /** When each sweep of the stand-in began. */
  const standIns: number[] = []
  const startedAt = clock.now()
  const sweeper = createSweeper({
    sweep(part) {
      sweeps.push(clock.now() - startedAt)
      parts.push(part)
      return sweep(part)
    },
    onSwept,
    standIn: {
      async sweep() {
        standIns.push(clock.now() - startedAt)
        return { result: { ...nothing, overdue: 1 }, pauseMs: 300 }
      },
    },
    isRedisAway,
    everyMs,
    aheadMs,
    heartbeat,
    events,
    clock,
    random: () => random,
  })
  return { sweeper, clock, sweeps, standIns, parts, finished, heartbeat }
}

test.each([
  [0, [0, 54_000, 108_000]],
  [0.5, [1_000, 61_000, 121_000]],
  [1, [2_000, 68_000, 134_000]],
])('sweeps soon after the start, then at its interval, give or take a tenth (random %p)', async (random, expected) => {
  const { sweeper, clock, sweeps } = createRun({ random })
  await sweeper.start(running)
  await clock.advance(135_000)
  await sweeper.stop()
  expect(sweeps.slice(0, 3)).toEqual(expected)
})

test('what follows each sweep is waited for, and left out of one that is asked to stop', async () => {
  const first = deferred()
  const second = deferred<SweepResult>()
  let followed = 0
  const { sweeper, clock, sweeps } = createRun({
    sweep: async () => (sweeps.length === 1 ? nothing : second.promise),
    onSwept() {
      followed++
      return first.promise
    },
  })
  await sweeper.start(running)
  await clock.advance(200_000)
  expect([sweeps.length, followed]).toEqual([1, 1])
  first.resolve()
  await clock.advance(EVERY)
  expect(sweeps).toHaveLength(2)
  const stopped = sweeper.stop()
  second.resolve(nothing)
  await stopped
  expect(followed).toBe(1)
})

test('the first sweep comes within the interval where that is shorter than two seconds', async () => {
  const { sweeper, clock, sweeps } = createRun({ random: 1, everyMs: 1_000 })
  await sweeper.start(running)
  await clock.advance(1_000)
  expect(sweeps).toEqual([1_000])
  await sweeper.stop()
})

test('the interval begins with the end of a sweep, so that sweeps never overlap', async () => {
  const { sweeper, clock, sweeps } = createRun({
    sweep: async () => {
      await clock.sleep(200_000)
      return nothing
    },
  })
  await sweeper.start(running)
  await clock.advance(462_000)
  expect(sweeps).toEqual([1_000, 261_000])
  const stopped = sweeper.stop()
  await clock.advance(200_000)
  await stopped
})

test('tells what each sweep has found, and how long it took', async () => {
  const { sweeper, clock, finished } = createRun({
    sweep: async () => {
      await clock.sleep(250)
      return { ...nothing, overdue: 7 }
    },
  })
  await sweeper.start(running)
  await clock.advance(2_000)
  expect(finished).toEqual([{ ...nothing, overdue: 7, tookMs: 250 }])
  await sweeper.stop()
})

describe('woken', () => {
  test('while it rests, it sweeps within two seconds, and goes on at its interval from there', async () => {
    const { sweeper, clock, sweeps } = createRun()
    await sweeper.start(running)
    await clock.advance(20_000)
    sweeper.wake()
    sweeper.wake()
    await clock.advance(1_000)
    expect(sweeps).toEqual([1_000, 21_000])
    await clock.advance(60_000)
    expect(sweeps).toEqual([1_000, 21_000, 81_000])
    await sweeper.stop()
  })

  test('while it sweeps, it sweeps once more, soon after', async () => {
    const { sweeper, clock, sweeps } = createRun({
      sweep: async () => {
        await clock.sleep(10_000)
        return nothing
      },
    })
    await sweeper.start(running)
    await clock.advance(5_000)
    sweeper.wake()
    await clock.advance(60_000)
    expect(sweeps).toEqual([1_000, 12_000])
    const stopped = sweeper.stop()
    await clock.advance(10_000)
    await stopped
  })

  test('before the start and after the stop, nothing happens', async () => {
    const { sweeper, clock, sweeps } = createRun()
    sweeper.wake()
    await clock.advance(10_000)
    expect(sweeps).toEqual([])
    await sweeper.start(running)
    await clock.advance(1_000)
    await sweeper.stop()
    sweeper.wake()
    await clock.advance(100_000)
    expect(sweeps).toHaveLength(1)
  })
})

test('sweeps again soon where a sweep leaves orders with nobody to take them apart, and hides none of what it found', async () => {
  const results: SweepResult[] = [{ ...nothing, overdue: 1, isWantedSoon: true }]
  const { sweeper, clock, sweeps, parts, finished } = createRun({ sweep: async () => results.shift() ?? nothing })
  await sweeper.start(running)
  await clock.advance(67_000)
  expect(sweeps).toEqual([1_000, 6_000, 66_000])
  expect(finished[0]).toEqual({ ...nothing, overdue: 1, tookMs: 0 })
  // Each sweep knows what the one before has met.
  expect(new Set(parts.map(({ memory }) => memory)).size).toBe(1)
  await sweeper.stop()
})

describe('where a sweep does not come to the end of what falls due soon', () => {
  const next = { orderId: '7', deadline: 7 }

  /** Each part takes ten seconds; the third comes to the end. */
  function createLong() {
    const ends = [next, { ...next, deadline: 8 }, undefined]
    const made = createRun({
      sweep: async () => {
        const end = ends.shift()
        await made.clock.sleep(10_000)
        return { ...nothing, ...(end && { next: end }) }
      },
    })
    return made
  }

  test('it goes on there at once, and tells of each part by itself', async () => {
    const { sweeper, clock, sweeps, parts, finished } = createLong()
    await sweeper.start(running)
    await clock.advance(32_000)
    expect(sweeps).toEqual([1_000, 11_000, 21_000])
    expect(parts.map(({ from, upcomingMs }) => [from?.deadline, upcomingMs])).toEqual([
      [undefined, 10_000],
      [7, 10_000],
      [8, 10_000],
    ])
    expect(finished).toEqual(Array(3).fill({ ...nothing, tookMs: 10_000 }))
    await clock.advance(58_000)
    expect(sweeps).toHaveLength(3)
    await sweeper.stop()
  })

  test('being woken, it begins anew within two seconds after the part that is under way', async () => {
    const { sweeper, clock, sweeps, parts } = createLong()
    await sweeper.start(running)
    await clock.advance(5_000)
    expect(parts[0]?.isWoken?.()).toBe(false)
    sweeper.wake()
    expect(parts[0]?.isWoken?.()).toBe(true)
    await clock.advance(8_000)
    expect([sweeps, parts[1]?.from]).toEqual([[1_000, 12_000], undefined])
    const stopped = sweeper.stop()
    await clock.advance(10_000)
    await stopped
  })
})

describe('how far it looks ahead', () => {
  const [near, all] = [2 * EVERY, 10 * EVERY]

  /** How far ahead each sweep looks that begins within `ms`, if going through takes so long. */
  async function aheadOf(tookMs: number, ms: number, error?: SweepResult['error']) {
    const made = createRun({
      sweep: async () => {
        await made.clock.sleep(tookMs)
        return { ...nothing, ...(error && { error }) }
      },
    })
    await made.sweeper.start(running)
    await made.clock.advance(ms)
    return { ...made, ahead: () => made.parts.map(({ aheadMs }) => aheadMs) }
  }

  test('is all the way each time where that is quick', async () => {
    const { sweeper, ahead } = await aheadOf(2_000, 5 * EVERY)
    expect(new Set(ahead())).toEqual(new Set([all]))
    await sweeper.stop()
  })

  test('is up to the sweep after the next where all the way takes long, and all the way a twentieth of the time', async () => {
    const { sweeper, ahead } = await aheadOf(10_000, 300_000)
    expect(ahead()).toEqual([all, near, near, all, near])
    await sweeper.stop()
  })

  test('is all the way after being woken, and until all has been looked at', async () => {
    const { sweeper, clock, ahead } = await aheadOf(10_000, 75_000)
    sweeper.wake()
    await clock.advance(20_000)
    expect(ahead()).toEqual([all, near, all])
    await sweeper.stop()
    const failing = await aheadOf(10_000, 150_000, new OrderExpiryError('REDIS_UNAVAILABLE', 'away'))
    expect(failing.ahead()).toEqual([all, all, all])
    const stopped = failing.sweeper.stop()
    await failing.clock.advance(10_000)
    await stopped
  })

  test('is never farther than it is set to', async () => {
    const made = createRun({
      aheadMs: 30_000,
      sweep: async () => {
        await made.clock.sleep(10_000)
        return nothing
      },
    })
    await made.sweeper.start(running)
    await made.clock.advance(130_000)
    expect(made.parts.map(({ aheadMs }) => aheadMs)).toEqual([30_000, 30_000])
    await made.sweeper.stop()
  })
})

describe('while Redis is away', () => {
  test('a stand-in sweeps at its own pace, from the moment it is told of, and tells what it found', async () => {
    let isAway = false
    const { sweeper, clock, sweeps, standIns, finished } = createRun({ isRedisAway: () => isAway })
    await sweeper.start(running)
    await clock.advance(20_000)
    isAway = true
    sweeper.standIn()
    await clock.advance(1_000)
    expect([sweeps, standIns]).toEqual([[1_000], [20_100, 20_400, 20_700, 21_000]])
    expect(finished.slice(1)).toEqual(Array(4).fill({ ...nothing, overdue: 1, standsIn: true, tookMs: 0 }))
    isAway = false
    sweeper.wake()
    await clock.advance(2_000)
    expect([sweeps, standIns.length]).toEqual([[1_000, 22_000], 4])
    await sweeper.stop()
  })

  test('a sweep that is under way makes room', async () => {
    const isAway = deferred()
    let hasGone = false
    const { sweeper, clock, parts, standIns } = createRun({
      sweep: async () => {
        await isAway.promise
        return { ...nothing, next: { orderId: '7', deadline: 7 } }
      },
      isRedisAway: () => hasGone,
    })
    await sweeper.start(running)
    await clock.advance(1_000)
    hasGone = true
    sweeper.standIn()
    expect(parts[0]?.isWoken?.()).toBe(true)
    isAway.resolve()
    await clock.advance(200)
    expect([parts.length, standIns]).toEqual([1, [1_100]])
    await sweeper.stop()
  })
})

describe('stopped', () => {
  test('while it rests, it ends at once, and leaves no timer', async () => {
    const { sweeper, clock } = createRun()
    await sweeper.start(running)
    await clock.advance(10_000)
    await sweeper.stop()
    expect(clock.sleeping).toEqual([])
  })

  test('while it sweeps, the sweep is asked to end and waited for, and is not told of', async () => {
    const ended = deferred<SweepResult>()
    let asked: AbortSignal | undefined
    const { sweeper, clock, finished, sweeps } = createRun({
      sweep: ({ signal }) => {
        asked = signal
        return ended.promise
      },
    })
    await sweeper.start(running)
    await clock.advance(1_000)
    let hasStopped = false
    const stopping = sweeper.stop().then(() => {
      hasStopped = true
    })
    await clock.advance(1_000)
    expect([asked?.aborted, hasStopped]).toEqual([true, false])
    ended.resolve(nothing)
    await stopping
    await clock.advance(100_000)
    expect([finished, sweeps.length]).toEqual([[], 1])
  })

  test('before the start, and twice', async () => {
    const { sweeper } = createRun()
    await sweeper.stop()
    await sweeper.stop()
  })
})

describe('the heart', () => {
  test('beats while it rests, however long the interval', async () => {
    const { sweeper, clock, heartbeat } = createRun({ everyMs: 3_600_000 })
    await sweeper.start(running)
    for (let second = 0; second < 300; second++) {
      await clock.advance(1_000)
      expect(heartbeat.ageMs).toBeLessThanOrEqual(5_000)
    }
    await sweeper.stop()
  })

  test('does not beat while a sweep is stuck', async () => {
    const ended = deferred<SweepResult>()
    const { sweeper, clock, heartbeat } = createRun({ sweep: () => ended.promise })
    await sweeper.start(running)
    await clock.advance(41_000)
    expect(heartbeat.ageMs).toBe(40_000)
    ended.resolve(nothing)
    await sweeper.stop()
  })
})
