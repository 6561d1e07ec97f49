import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../src/errors.ts'
import { Lifecycle, type Service } from '../../../src/runtime/service.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { deferred } from '../deferred.ts'

/** A life cycle of services that write down what is done to them; `parts` replaces what one of them does. */
function createLifecycle(names: readonly string[], parts: Record<string, Partial<Service>> = {}) {
  const clock = new FakeClock()
  const log: string[] = []
  const services = names.map(
    (name): Service => ({
      name,
      async start(signal) {
        log.push(`start ${name}`)
        await parts[name]?.start?.(signal)
      },
      async stop() {
        log.push(`stop ${name}`)
        await parts[name]?.stop?.()
      },
    }),
  )
  return { lifecycle: new Lifecycle({ services, clock }), clock, log }
}

const { signal } = new AbortController()
const never = () => new Promise<never>(() => {})

describe('starting', () => {
  test('starts each service after the one before it has started', async () => {
    const gate = deferred()
    const { lifecycle, clock, log } = createLifecycle(['http', 'redis', 'worker'], {
      redis: { start: () => gate.promise },
    })
    const started = lifecycle.start(signal)
    await clock.advance(0)
    expect(log).toEqual(['start http', 'start redis'])
    gate.resolve()
    await started
    expect(log).toEqual(['start http', 'start redis', 'start worker'])
  })

  test('hands the signal to each service', async () => {
    const seen: AbortSignal[] = []
    const start = async (given: AbortSignal) => void seen.push(given)
    const { lifecycle } = createLifecycle(['http', 'worker'], { http: { start }, worker: { start } })
    await lifecycle.start(signal)
    expect(seen).toEqual([signal, signal])
  })

  test('rejects with the error of the service that fails, and starts none after it', async () => {
    const failed = new OrderExpiryError('HTTP_LISTEN_FAILED', 'port taken')
    const { lifecycle, log } = createLifecycle(['redis', 'http', 'worker'], {
      http: { start: () => Promise.reject(failed) },
    })
    await expect(lifecycle.start(signal)).rejects.toBe(failed)
    expect(log).toEqual(['start redis', 'start http'])
  })

  test('stops what was started before the failure, and the failed service too', async () => {
    const { lifecycle, log } = createLifecycle(['redis', 'http', 'worker'], {
      http: { start: () => Promise.reject(new Error('port taken')) },
    })
    await lifecycle.start(signal).catch(() => {})
    expect(await lifecycle.stop(1_000)).toEqual([])
    expect(log.slice(2)).toEqual(['stop http', 'stop redis'])
  })

  test('starts nothing more once the signal is aborted', async () => {
    const controller = new AbortController()
    const reason = new Error('SIGTERM')
    const { lifecycle, log } = createLifecycle(['redis', 'worker'], {
      redis: { start: async () => controller.abort(reason) },
    })
    await expect(lifecycle.start(controller.signal)).rejects.toBe(reason)
    expect(log).toEqual(['start redis'])
  })
})

describe('stopping', () => {
  test('stops the last service first, each after the one before it has stopped', async () => {
    const gate = deferred()
    const { lifecycle, clock, log } = createLifecycle(['http', 'redis', 'worker'], {
      worker: { stop: () => gate.promise },
    })
    await lifecycle.start(signal)
    log.length = 0
    const stopped = lifecycle.stop(1_000)
    await clock.advance(0)
    expect(log).toEqual(['stop worker'])
    gate.resolve()
    expect(await stopped).toEqual([])
    expect(log).toEqual(['stop worker', 'stop redis', 'stop http'])
    expect(clock.sleeping).toEqual([])
  })

  test.each([
    ['rejects', () => Promise.reject(new OrderExpiryError('STORE_UNAVAILABLE', 'gone'))],
    [
      'throws',
      () => {
        throw new OrderExpiryError('STORE_UNAVAILABLE', 'gone')
      },
    ],
  ])('reports a service whose stop %s, and stops the others nevertheless', async (_, stop) => {
    const { lifecycle, log } = createLifecycle(['http', 'store', 'worker'], { store: { stop } })
    await lifecycle.start(signal)
    log.length = 0
    expect(await lifecycle.stop(1_000)).toMatchObject([{ code: 'STORE_UNAVAILABLE', message: 'gone' }])
    expect(log).toEqual(['stop worker', 'stop store', 'stop http'])
  })

  test('reports an error that is not ours as UNEXPECTED, with its cause', async () => {
    const cause = new TypeError('x is undefined')
    const { lifecycle } = createLifecycle(['http'], { http: { stop: () => Promise.reject(cause) } })
    await lifecycle.start(signal)
    expect(await lifecycle.stop(1_000)).toMatchObject([{ code: 'UNEXPECTED', cause }])
  })

  test('goes on without a service that does not stop, and leaves time for those after it', async () => {
    const { lifecycle, clock, log } = createLifecycle(['http', 'redis', 'worker'], {
      worker: { stop: never },
      redis: { stop: () => clock.sleep(20) },
    })
    await lifecycle.start(signal)
    log.length = 0
    const stopped = lifecycle.stop(1_000)
    await clock.advance(900)
    expect(log).toEqual(['stop worker'])
    await clock.advance(100)
    const errors = await stopped
    expect(errors.map(({ code, message }) => `${code}: ${message}`)).toEqual([
      expect.stringMatching(/^STOP_INCOMPLETE: worker did not stop within 9\d\d ms/),
    ])
    expect(log).toEqual(['stop worker', 'stop redis', 'stop http'])
  })

  test('leaves the last service all the time that is left', async () => {
    const { lifecycle, clock } = createLifecycle(['http', 'worker'], {
      worker: { stop: () => clock.sleep(300) },
      http: { stop: never },
    })
    await lifecycle.start(signal)
    const stopped = lifecycle.stop(1_000)
    await clock.advance(1_000)
    expect(await stopped).toMatchObject([{ message: 'http did not stop within 700 ms; going on without it' }])
  })

  test('ends in about the time given even if no service stops', async () => {
    const { lifecycle, clock } = createLifecycle(['http', 'redis', 'worker'], {
      http: { stop: never },
      redis: { stop: never },
      worker: { stop: never },
    })
    await lifecycle.start(signal)
    const stopped = lifecycle.stop(1_000)
    await clock.advance(1_000 + 3 * 50) // each service has 50 ms, however little is left
    const errors = await stopped
    expect(errors.map(({ code }) => code)).toEqual(['STOP_INCOMPLETE', 'STOP_INCOMPLETE', 'STOP_INCOMPLETE'])
    expect(errors.map(({ message }) => message.split(' ')[0])).toEqual(['worker', 'redis', 'http'])
  })

  test('does nothing before a start', async () => {
    const { lifecycle, log } = createLifecycle(['http', 'worker'])
    expect(await lifecycle.stop(1_000)).toEqual([])
    expect(log).toEqual([])
  })

  test('stops each service once, however often it is called', async () => {
    const { lifecycle, log } = createLifecycle(['http', 'worker'])
    await lifecycle.start(signal)
    await lifecycle.stop(1_000)
    expect(await lifecycle.stop(1_000)).toEqual([])
    expect(log.slice(2)).toEqual(['stop worker', 'stop http'])
  })

  test('resolves a second call no earlier than the first', async () => {
    const gate = deferred()
    const { lifecycle, clock } = createLifecycle(['http', 'worker'], { worker: { stop: () => gate.promise } })
    await lifecycle.start(signal)
    const done: string[] = []
    const first = lifecycle.stop(1_000).then(() => done.push('first'))
    const second = lifecycle.stop(1_000).then(() => done.push('second'))
    await clock.advance(0)
    expect(done).toEqual([])
    gate.resolve()
    await Promise.all([first, second])
    expect(done).toEqual(['first', 'second'])
  })
})
