import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { backoffMs, retryUntilDone } from '../../../src/runtime/retry.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

describe('backoffMs', () => {
  test('lies between half and all of base * 2^(attempt - 1), and never above the cap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, baseMs, capMs, random) => {
          const ms = backoffMs({ attempt, baseMs, capMs, random: () => random })
          const ceiling = Math.min(capMs, baseMs * 2 ** (attempt - 1))
          expect(Number.isInteger(ms)).toBe(true)
          expect(ms).toBeGreaterThanOrEqual(Math.floor(ceiling / 2))
          expect(ms).toBeLessThanOrEqual(ceiling)
        },
      ),
    )
  })

  test('doubles from one attempt to the next until it reaches the cap', () => {
    const waits = [1, 2, 3, 4, 5, 1_000].map((attempt) =>
      backoffMs({ attempt, baseMs: 100, capMs: 1_000, random: () => 0 }),
    )
    expect(waits).toEqual([50, 100, 200, 400, 500, 500])
  })

  test('spreads those who failed together', () => {
    const waits = new Set(Array.from({ length: 100 }, () => backoffMs({ attempt: 5, baseMs: 1_000, capMs: 60_000 })))
    expect(waits.size).toBeGreaterThan(50)
  })
})

describe('retryUntilDone', () => {
  /** Runs it with `attempt`; `waits` are the pauses it announces. */
  function run<T>(attempt: (n: number) => Promise<T>, isRetryable: (error: unknown) => boolean = () => true) {
    const clock = new FakeClock()
    const controller = new AbortController()
    const waits: { error: unknown; waitMs: number }[] = []
    let attempts = 0
    const result = retryUntilDone({
      attempt: () => attempt(++attempts),
      isRetryable,
      onWait: (error, waitMs) => waits.push({ error, waitMs }),
      clock,
      signal: controller.signal,
    })
    result.catch(() => {}) // each test looks at it in its own time
    return { result, clock, controller, waits, attempts: () => attempts }
  }

  test('gives the first result, without a pause', async () => {
    const { result, waits, attempts } = run(async (n) => `attempt ${n}`)
    expect(await result).toBe('attempt 1')
    expect(attempts()).toBe(1)
    expect(waits).toEqual([])
  })

  test('tries again until it succeeds, pausing as long as it announced', async () => {
    const failures = [new Error('first'), new Error('second')]
    const { result, clock, waits, attempts } = run(async (n) => {
      const failure = failures[n - 1]
      if (failure) throw failure
      return 'done'
    })
    await clock.advance(0)
    expect(clock.sleeping).toEqual([waits[0]?.waitMs])
    await clock.advance((waits[0]?.waitMs ?? 0) - 1)
    expect(attempts()).toBe(1)
    await clock.advance(1)
    expect(attempts()).toBe(2)
    await clock.advance(waits[1]?.waitMs ?? 0)
    expect(await result).toBe('done')
    expect(waits.map(({ error }) => error)).toEqual(failures)
    expect(clock.sleeping).toEqual([])
  })

  test('pauses longer and longer, up to the cap', async () => {
    const { clock, controller, waits } = run(async () => {
      throw new Error('down')
    })
    await clock.advance(60_000)
    controller.abort()
    const bounds = [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]
    expect(waits.length).toBeGreaterThan(bounds.length)
    for (const [index, ceiling] of bounds.entries()) {
      expect(waits[index]?.waitMs).toBeGreaterThanOrEqual(ceiling / 2)
      expect(waits[index]?.waitMs).toBeLessThanOrEqual(ceiling)
    }
  })

  test('takes an attempt that throws instead of rejecting for a failed one', async () => {
    const { result, clock, waits } = run((n) => {
      if (n === 1) throw new Error('thrown')
      return Promise.resolve('done')
    })
    await clock.advance(1_000)
    expect(await result).toBe('done')
    expect(waits).toHaveLength(1)
  })

  test('rejects at once with an error that is not worth another attempt', async () => {
    const refused = new Error('WRONGPASS')
    const { result, waits, attempts } = run(
      async () => {
        throw refused
      },
      (error) => error !== refused,
    )
    await expect(result).rejects.toBe(refused)
    expect(attempts()).toBe(1)
    expect(waits).toEqual([])
  })

  test('makes no attempt if the signal is aborted already', async () => {
    const reason = new Error('SIGTERM')
    const result = retryUntilDone({
      attempt: () => Promise.reject(new Error('must not be called')),
      isRetryable: () => true,
      onWait: () => {},
      clock: new FakeClock(),
      signal: AbortSignal.abort(reason),
    })
    await expect(result).rejects.toBe(reason)
  })

  test('rejects with the reason of the signal when aborted in the middle of an attempt that never ends', async () => {
    const { result, clock, controller, waits } = run(() => new Promise<never>(() => {}))
    await clock.advance(60_000)
    const reason = new Error('SIGTERM')
    controller.abort(reason)
    await expect(result).rejects.toBe(reason)
    expect(waits).toEqual([])
  })

  test('rejects with the reason of the signal when the attempt itself fails because of it', async () => {
    const { signal, reason, abort } = abortable()
    const result = retryUntilDone({
      attempt: () =>
        new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(new Error('closed')))),
      isRetryable: () => true,
      onWait: () => {},
      clock: new FakeClock(),
      signal,
    })
    abort()
    await expect(result).rejects.toBe(reason)
  })

  test('rejects with the reason of the signal when aborted during a pause, and makes no further attempt', async () => {
    const { result, clock, controller, waits, attempts } = run(async () => {
      throw new Error('down')
    })
    await clock.advance(0)
    expect(clock.sleeping).toHaveLength(1)
    const reason = new Error('SIGTERM')
    controller.abort(reason)
    await expect(result).rejects.toBe(reason)
    await clock.advance(60_000)
    expect(attempts()).toBe(1)
    expect(waits).toHaveLength(1)
    expect(clock.sleeping).toEqual([])
  })
})

function abortable() {
  const controller = new AbortController()
  const reason = new Error('SIGTERM')
  return { signal: controller.signal, reason, abort: () => controller.abort(reason) }
}
