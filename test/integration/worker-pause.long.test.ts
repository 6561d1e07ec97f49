import { describe, expect, test } from '@jest/globals'
import { EventBus } from '../../src/observe/events.ts'
import type { Settle } from '../../src/order/settle.ts'
import { createWorkerService } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const running = new AbortController().signal

function createWorker(options: { concurrency?: number } = {}) {
  const raw = new RawQueue()
  const settled: string[] = []
  let gate: Promise<void> | undefined
  const settle: Settle = async (checks) => {
    settled.push(...checks.map(({ orderId }) => orderId))
    await gate
    return checks.map(({ deadline }) => ({
      kind: 'cancelled',
      at: Date.now(),
      evidence: { decidedAt: Date.now(), status: 'pending', deadline },
    }))
  }
  const heartbeat = new Heartbeat({ name: 'worker', clock: systemClock })
  const errors: Error[] = []
  const events = new EventBus()
  events.on('worker-error', ({ error }) => errors.push(error))
  const worker = createWorkerService({
    redis: redisUrl(),
    queue: namedQueue({ name: raw.name }),
    concurrency: options.concurrency ?? 10,
    batchSize: 10,
    maxBatches: 2,
    maxAttempts: 3,
    longestSleepMs: 1_000,
    paymentTimeoutMs: 300_000,
    settle,
    decidedBy: 'test:1',
    heartbeat,
    isRedisAway: () => false,
    ring: async () => {},
    events,
    clock: systemClock,
  })
  closing.push(
    () => raw.close(),
    () => worker.stop(),
  )
  const add = (...orderIds: string[]) =>
    raw.queue.addBulk(
      orderIds.map((orderId) => ({ name: 'check-payment', data: { orderId, deadline: Date.now() - 1_000 } })),
    )
  const completed = (count: number) =>
    eventually(`${count} are completed`, async () => (await raw.queue.getCompletedCount()) === count)
  return {
    raw,
    worker,
    settled,
    heartbeat,
    errors,
    add,
    completed,
    close() {
      let open = () => {}
      gate = new Promise((resolve) => {
        open = resolve
      })
      return open
    },
  }
}

/** Waits until a heart has beaten once more. @returns how old its last beat was by then */
function nextBeat(heartbeat: Heartbeat): Promise<number> {
  let lastAge = 0
  return eventually('the heart beats', () => {
    const age = heartbeat.ageMs
    if (age < lastAge) return lastAge
    lastAge = age
    return undefined
  })
}

/**
 * A paused worker shows nothing of its loop. So one beside it is watched, with a queue of its own: by when that has fetched
 * at its start and twice more, once a second, the paused one would have fetched what there is.
 */
async function twoFetches(): Promise<void> {
  const { worker, heartbeat } = createWorker()
  await worker.start(running)
  for (let n = 0; n < 3; n++) await nextBeat(heartbeat)
  await worker.stop()
}

describe('a paused worker', () => {
  test('fetches nothing; once it is resumed, it goes on with what has come meanwhile', async () => {
    const { raw, worker, settled, add, completed, errors } = createWorker()
    await worker.start(running)
    await add('1')
    await completed(1)
    worker.pause()
    // The fetch that is under way may still bring one.
    await twoFetches()
    await add('2', '3', '4')
    await twoFetches()
    expect([settled, await raw.queue.getWaitingCount()]).toEqual([['1'], 3])
    worker.resume()
    await completed(4)
    expect([settled.toSorted(), errors]).toEqual([['1', '2', '3', '4'], []])
  })

  test('finishes what is in flight', async () => {
    const { worker, add, completed, settled, close } = createWorker()
    const open = close()
    await worker.start(running)
    await add('1', '2')
    await eventually('both are under way', () => settled.length === 2)
    worker.pause()
    open()
    await completed(2)
  })

  test('that is paused before its start takes nothing until it is resumed', async () => {
    const { raw, worker, settled, add, completed } = createWorker()
    await add('1', '2')
    worker.pause()
    await worker.start(running)
    await twoFetches()
    expect([settled, await raw.queue.getWaitingCount()]).toEqual([[], 2])
    worker.resume()
    await completed(2)
  })

  test('that is paused twice and resumed twice works as if it were once', async () => {
    const { worker, add, completed, errors } = createWorker()
    await worker.start(running)
    for (let n = 0; n < 5; n++) {
      worker.pause()
      worker.pause()
      worker.resume()
      worker.resume()
    }
    await add('1', '2', '3')
    await completed(3)
    await add('4')
    await completed(4)
    expect(errors).toEqual([])
  })

  test('stops', async () => {
    const { worker, raw, add } = createWorker()
    await worker.start(running)
    await add('1')
    worker.pause()
    await worker.stop()
    await worker.stop()
    expect(await raw.queue.getActiveCount()).toBe(0)
  })

  test('stops with a check in flight, once that is finished', async () => {
    const { worker, raw, add, settled, close } = createWorker()
    const open = close()
    await worker.start(running)
    await add('1')
    await eventually('it is under way', () => settled.length === 1)
    worker.pause()
    const stopped = worker.stop()
    open()
    await stopped
    expect(await raw.queue.getCompletedCount()).toBe(1)
  })

  test('may be resumed before its start and after its stop', async () => {
    const { worker } = createWorker()
    worker.resume()
    await worker.start(running)
    await worker.stop()
    worker.pause()
    worker.resume()
  })
})

describe('the heart of a worker', () => {
  test('beats every second or so while there is nothing to do', async () => {
    const { worker, heartbeat } = createWorker()
    await worker.start(running)
    for (let n = 0; n < 6; n++) expect(await nextBeat(heartbeat)).toBeLessThan(2_000)
  })

  test('beats while all its slots are taken again and again', async () => {
    const { worker, heartbeat, add, completed } = createWorker({ concurrency: 1 })
    await worker.start(running)
    await add(...Array.from({ length: 500 }, (_, n) => `${n}`))
    let oldest = 0
    await eventually(
      'all are completed',
      async () => {
        oldest = Math.max(oldest, heartbeat.ageMs)
        return oldest > 2_000 || undefined
      },
      1_500,
    ).catch(() => {})
    await completed(500)
    expect(oldest).toBeLessThan(2_000)
  })
})
