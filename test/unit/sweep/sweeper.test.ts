import { describe, expect, test } from '@jest/globals'
import { EventBus } from '../../../src/observe/events.ts'
import { Heartbeat } from '../../../src/runtime/heartbeat.ts'
import type { SweepResult } from '../../../src/sweep/sweep.ts'
import { createSweeper } from '../../../src/sweep/sweeper.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

const EVERY = 60_000
const nothing: SweepResult = { overdue: 0, outcomes: {}, upcoming: 0, added: 0 }
const running = new AbortController().signal

function createRun(
  options: { random?: number; everyMs?: number; sweep?: (signal: AbortSignal) => Promise<SweepResult> } = {},
) {
  const { random = 0.5, everyMs = EVERY, sweep = async () => nothing } = options
  const clock = new FakeClock()
  const events = new EventBus()
  const finished: unknown[] = []
  events.on('sweep-finished', (e) => finished.push(e))
  const heartbeat = new Heartbeat({ name: 'sweeper', clock })
  /** When each sweep began, counted from the start. */
  const sweeps: number[] = []
  const startedAt = clock.now()
  const sweeper = createSweeper({
    sweep(signal) {
      sweeps.push(clock.now() - startedAt)
      return sweep(signal)
    },
    everyMs,
    heartbeat,
    events,
    clock,
    random: () => random,
  })
  return { sweeper, clock, sweeps, finished, heartbeat }
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
      sweep: (signal) => {
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
