import { describe, expect, test } from '@jest/globals'
import { Breaker } from '../../../src/runtime/breaker.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const failure = (message = 'away') => new Error(message)

function createBreaker(probe: () => Promise<unknown> = () => Promise.reject(failure())) {
  const clock = new FakeClock()
  const log: string[] = []
  let probes = 0
  const breaker = new Breaker<Error>({
    threshold: 3,
    probe: () => {
      probes++
      return probe()
    },
    onOpen: ({ message }) => log.push(`open ${message}`),
    onClose: () => log.push('close'),
    clock,
  })
  const fail = (times: number) => {
    for (let n = 0; n < times; n++) breaker.failed(failure())
  }
  return { breaker, clock, log, fail, probes: () => probes }
}

describe('a breaker', () => {
  test('is closed before anything has failed, and asks nothing', () => {
    const { breaker, clock, log } = createBreaker()
    expect(breaker.failure).toBeUndefined()
    expect([log, clock.sleeping]).toEqual([[], []])
  })

  test('opens with the third failure in a row, with that failure, and says so once', () => {
    const { breaker, log, fail } = createBreaker()
    fail(2)
    expect([breaker.failure, log]).toEqual([undefined, []])
    const third = failure('third')
    breaker.failed(third)
    expect(breaker.failure).toBe(third)
    fail(5)
    expect(breaker.failure).toBe(third)
    expect(log).toEqual(['open third'])
  })

  test('counts failures in a row only', () => {
    const { breaker, fail } = createBreaker()
    for (let round = 0; round < 5; round++) {
      fail(2)
      breaker.succeeded()
    }
    expect(breaker.failure).toBeUndefined()
  })

  test('is not closed by a success that began before it opened', () => {
    const { breaker, fail } = createBreaker()
    fail(3)
    breaker.succeeded()
    expect(breaker.failure).toBeDefined()
  })

  test('probes one at a time, more and more seldom, every two seconds at the least', async () => {
    const { breaker, clock, fail, probes } = createBreaker()
    fail(3)
    for (const [index, ceiling] of [250, 500, 1_000, 2_000, 2_000, 2_000].entries()) {
      const [wait, ...others] = clock.sleeping
      expect(others).toEqual([])
      expect(wait).toBeGreaterThanOrEqual(ceiling / 2)
      expect(wait).toBeLessThanOrEqual(ceiling)
      await clock.advance(wait as number)
      expect(probes()).toBe(index + 1)
    }
    expect(breaker.failure).toBeDefined()
  })

  test('closes with the first probe that succeeds, and then probes no more', async () => {
    const answers = [false, false, true]
    const { breaker, clock, log, fail, probes } = createBreaker(async () => {
      if (!answers.shift()) throw failure()
    })
    fail(3)
    await clock.advance(10_000)
    expect([breaker.failure, log, probes(), clock.sleeping]).toEqual([undefined, ['open away', 'close'], 3, []])
  })

  test('is closed already when it says so', async () => {
    const clock = new FakeClock()
    let seen: unknown = 'nothing'
    const breaker = new Breaker<Error>({
      threshold: 1,
      probe: async () => {},
      onOpen: () => {},
      onClose: () => {
        seen = breaker.failure
      },
      clock,
    })
    breaker.failed(failure())
    await clock.advance(1_000)
    expect(seen).toBeUndefined()
  })
})

describe('after a probe has closed it', () => {
  async function closedByProbe() {
    const made = createBreaker(async () => {})
    made.fail(3)
    await made.clock.advance(1_000)
    expect(made.breaker.failure).toBeUndefined()
    return made
  }

  test('a single failure opens it again, and the probes grow rarer from outage to outage', async () => {
    const { breaker, clock, log, fail } = await closedByProbe()
    for (const ceiling of [500, 1_000, 2_000, 2_000]) {
      fail(1)
      expect(breaker.failure).toBeDefined()
      expect(clock.sleeping[0]).toBeGreaterThanOrEqual(ceiling / 2)
      expect(clock.sleeping[0]).toBeLessThanOrEqual(ceiling)
      await clock.advance(ceiling)
      expect(breaker.failure).toBeUndefined()
    }
    expect(log.filter((line) => line === 'close')).toHaveLength(5)
  })

  test('a real success makes it what it was: it takes three failures, and the first probe comes soon', async () => {
    const { breaker, clock, fail } = await closedByProbe()
    breaker.succeeded()
    fail(2)
    expect(breaker.failure).toBeUndefined()
    fail(1)
    expect(breaker.failure).toBeDefined()
    expect(clock.sleeping[0]).toBeLessThanOrEqual(250)
  })
})

describe('stopped', () => {
  test('while it is open, it stays open and probes no more', async () => {
    const { breaker, clock, log, fail, probes } = createBreaker(async () => {})
    fail(3)
    breaker.stop()
    await clock.advance(60_000)
    expect([probes(), log, clock.sleeping]).toEqual([0, ['open away'], []])
    expect(breaker.failure).toBeDefined()
  })

  test('in the middle of a probe, its success changes nothing', async () => {
    let answer = () => {}
    const { breaker, clock, log, fail } = createBreaker(
      () =>
        new Promise<void>((resolve) => {
          answer = resolve
        }),
    )
    fail(3)
    await clock.advance(250)
    breaker.stop()
    answer()
    await clock.advance(10_000)
    expect([log, clock.sleeping]).toEqual([['open away'], []])
  })

  test('while it is closed, it does not open any more', () => {
    const { breaker, log, fail } = createBreaker()
    breaker.stop()
    breaker.stop()
    fail(10)
    expect([breaker.failure, log]).toEqual([undefined, []])
  })
})
