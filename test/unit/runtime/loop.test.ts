import { getEventListeners } from 'node:events'
import { describe, expect, jest, test } from '@jest/globals'
import { Heartbeat } from '../../../src/runtime/heartbeat.ts'
import { createLoop } from '../../../src/runtime/loop.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

const running = new AbortController().signal

function createRun(options: Partial<Parameters<typeof createLoop>[0]> = {}) {
  const clock = new FakeClock()
  const heartbeat = new Heartbeat({ name: 'loop', clock })
  const startedAt = clock.now()
  /** When each step began, counted from the start, and its signal. */
  const steps: number[] = []
  const signals: AbortSignal[] = []
  const { step = async () => 1_000, ...overrides } = options
  const loop = createLoop({
    name: 'loop',
    step(signal) {
      steps.push(clock.now() - startedAt)
      signals.push(signal)
      return step(signal)
    },
    heartbeat,
    clock,
    ...overrides,
  })
  return { loop, clock, heartbeat, steps, signals }
}

describe('a loop', () => {
  test('takes its first step with the start, and each further one after the pause that the one before has asked for', async () => {
    const pauses = [10_000, 100]
    const { loop, clock, steps } = createRun({ step: async () => pauses.shift() ?? 60_000 })
    await loop.start(running)
    await clock.advance(20_000)
    expect(steps).toEqual([0, 10_000, 10_100])
    await loop.stop()
  })

  test('leaves nothing on the signal of its stop, however many pauses it makes', async () => {
    // Node keeps a trace of each signal that is made of a longer-lived one.
    const any = jest.spyOn(AbortSignal, 'any')
    const { loop, clock, steps, signals } = createRun({ step: async () => 10 })
    await loop.start(running)
    await clock.advance(1_000)
    expect(steps.length).toBeGreaterThan(50)
    expect(any).not.toHaveBeenCalled()
    expect(getEventListeners(signals[0] as AbortSignal, 'abort')).toEqual([])
    any.mockRestore()
    await loop.stop()
  })

  test('takes its first step after the first pause, if it has one', async () => {
    const { loop, clock, steps } = createRun({ firstPauseMs: 7_000, step: async () => 60_000 })
    await loop.start(running)
    await clock.advance(20_000)
    expect(steps).toEqual([7_000])
    await loop.stop()
  })

  test('counts the pause from the end of a step, so that steps never overlap', async () => {
    const { loop, clock, steps } = createRun({ step: () => clock.sleep(5_000).then(() => 1_000) })
    await loop.start(running)
    await clock.advance(13_000)
    expect(steps).toEqual([0, 6_000, 12_000])
    const stopped = loop.stop()
    await clock.advance(5_000)
    await stopped
  })

  test('lets the heart beat during a pause, however long, and not during a step', async () => {
    const ended = deferred<number>()
    const { loop, clock, heartbeat } = createRun({ firstPauseMs: 600_000, step: () => ended.promise })
    await loop.start(running)
    for (let second = 0; second < 600; second++) {
      await clock.advance(1_000)
      expect(heartbeat.ageMs).toBeLessThanOrEqual(5_000)
    }
    await clock.advance(60_000)
    expect(heartbeat.ageMs).toBe(60_000)
    ended.resolve(0)
    await loop.stop()
  })
})

describe('hurried', () => {
  test('during a pause, it takes the next step within the time, once, whoever else asks', async () => {
    const { loop, clock, steps } = createRun({ step: async () => 60_000 })
    await loop.start(running)
    await clock.advance(20_000)
    loop.hurry(2_000)
    await clock.advance(1_500)
    loop.hurry(1_000)
    await clock.advance(20_000)
    expect(steps).toEqual([0, 22_000])
    await clock.advance(60_000)
    expect(steps).toEqual([0, 22_000, 82_000])
    await loop.stop()
  })

  test('during a step, it takes the next one within the time after its end', async () => {
    const { loop, clock, steps } = createRun({ step: () => clock.sleep(10_000).then(() => 60_000) })
    await loop.start(running)
    await clock.advance(5_000)
    loop.hurry(2_000)
    await clock.advance(10_000)
    expect(steps).toEqual([0, 12_000])
    const stopped = loop.stop()
    await clock.advance(10_000)
    await stopped
  })

  test('after the stop, it takes no step', async () => {
    const { loop, clock, steps } = createRun()
    await loop.start(running)
    await clock.advance(0)
    await loop.stop()
    loop.hurry(0)
    await clock.advance(10_000)
    expect(steps).toEqual([0])
  })
})

describe('stopped', () => {
  test('during a pause, it ends at once, and leaves no timer', async () => {
    const { loop, clock } = createRun({ step: async () => 60_000 })
    await loop.start(running)
    await clock.advance(1_000)
    await loop.stop()
    expect(clock.sleeping).toEqual([])
  })

  test('during a step, it aborts its signal and waits for its end', async () => {
    const ended = deferred<number>()
    const { loop, clock, signals, steps } = createRun({ step: () => ended.promise })
    await loop.start(running)
    await clock.advance(0)
    let hasStopped = false
    const stopping = loop.stop().then(() => {
      hasStopped = true
    })
    await clock.advance(1_000)
    expect([signals[0]?.aborted, hasStopped]).toEqual([true, false])
    ended.resolve(0)
    await stopping
    await clock.advance(1_000)
    expect(steps).toHaveLength(1)
  })

  test('before the start, and twice, it takes no step', async () => {
    const { loop, clock, steps } = createRun()
    await loop.stop()
    await loop.stop()
    await loop.start(running)
    await clock.advance(10_000)
    expect(steps).toEqual([])
  })
})
