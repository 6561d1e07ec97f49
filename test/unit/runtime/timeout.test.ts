import { getEventListeners } from 'node:events'
import { describe, expect, test } from '@jest/globals'
import { untilAborted, withTimeout } from '../../../src/runtime/timeout.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

const never = new Promise<never>(() => {})

describe('withTimeout', () => {
  test('gives the result of work that is done in time, and leaves no timer behind', async () => {
    const clock = new FakeClock()
    const result = withTimeout({ work: Promise.resolve('done'), ms: 100, clock, onTimeout: () => new Error('late') })
    expect(await result).toBe('done')
    expect(clock.sleeping).toEqual([])
  })

  test('rejects as work that fails in time does, and leaves no timer behind', async () => {
    const clock = new FakeClock()
    const failed = new Error('failed')
    const result = withTimeout({ work: Promise.reject(failed), ms: 100, clock, onTimeout: () => new Error('late') })
    await expect(result).rejects.toBe(failed)
    expect(clock.sleeping).toEqual([])
  })

  test('rejects with the given error once the time is up, not before', async () => {
    const clock = new FakeClock()
    const late = new Error('late')
    let rejection: unknown
    withTimeout({ work: never, ms: 100, clock, onTimeout: () => late }).catch((error: unknown) => {
      rejection = error
    })
    await clock.advance(99)
    expect(rejection).toBeUndefined()
    await clock.advance(1)
    expect(rejection).toBe(late)
  })

  test('makes no error unless it is needed', async () => {
    const clock = new FakeClock()
    const onTimeout = () => {
      throw new Error('must not be called')
    }
    await withTimeout({ work: Promise.resolve(), ms: 100, clock, onTimeout })
    await clock.advance(1_000)
    expect(clock.sleeping).toEqual([])
  })

  test('swallows the rejection of work that fails after its time', async () => {
    const clock = new FakeClock()
    const { promise: work, reject } = deferred<never>()
    const outcome = withTimeout({ work, ms: 100, clock, onTimeout: () => new Error('late') }).catch(String)
    await clock.advance(100)
    expect(await outcome).toBe('Error: late')
    reject(new Error('nobody waits for this any more'))
    await clock.advance(0) // an unhandled rejection would fail this test
  })
})

describe('untilAborted', () => {
  test('gives the result of the work, and stops listening to the signal', async () => {
    const { signal } = new AbortController()
    expect(await untilAborted(Promise.resolve('done'), signal)).toBe('done')
    await new FakeClock().advance(0)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('rejects as the work does', async () => {
    const failed = new Error('failed')
    await expect(untilAborted(Promise.reject(failed), new AbortController().signal)).rejects.toBe(failed)
  })

  test('rejects with the reason of the signal as soon as it is aborted', async () => {
    const controller = new AbortController()
    const result = untilAborted(never, controller.signal)
    const reason = new Error('SIGTERM')
    controller.abort(reason)
    await expect(result).rejects.toBe(reason)
  })

  test('rejects at once if the signal is aborted already, and swallows what becomes of the work', async () => {
    const reason = new Error('SIGTERM')
    const result = untilAborted(Promise.reject(new Error('swallowed')), AbortSignal.abort(reason))
    await expect(result).rejects.toBe(reason)
    await new FakeClock().advance(0)
  })
})
