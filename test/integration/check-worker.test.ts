import { expect, jest, test } from '@jest/globals'
import { Worker } from 'bullmq'
import { CheckWorker } from '../../src/queue/worker/check-worker.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const CONCURRENCY = 200

/** A queue with so many jobs. */
async function queueWith(count: number): Promise<RawQueue> {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  await raw.queue.addBulk(
    Array.from({ length: count }, (_, n) => ({ name: 'check-payment', data: {}, opts: { jobId: `job-${n}` } })),
  )
  return raw
}

function startWorker(raw: RawQueue, processor: () => Promise<void>): CheckWorker {
  const worker = new CheckWorker(raw.name, processor, {
    connection: { url: redisUrl(), maxRetriesPerRequest: null },
    concurrency: CONCURRENCY,
    heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
    ring: async () => {},
    clock: systemClock,
  })
  closing.push(() => worker.close(true))
  return worker
}

test('a check begins as soon as it is fetched, not when as many are as there is room for, and all of them do', async () => {
  const raw = await queueWith(3 * CONCURRENCY)
  let fetchedWithFirst: number | undefined
  let mostAtOnce = 0
  let atOnce = 0
  let ended = 0
  startWorker(raw, async () => {
    mostAtOnce = Math.max(mostAtOnce, ++atOnce)
    fetchedWithFirst ??= await raw.queue.getActiveCount()
    // Nobody ends before as many have begun as there is room for.
    await eventually('all that may have begun', () => (mostAtOnce === CONCURRENCY ? true : undefined))
    atOnce--
    ended++
  })
  await eventually('all have ended', () => (ended === 3 * CONCURRENCY ? true : undefined))
  expect(fetchedWithFirst).toBeLessThan(CONCURRENCY / 2)
  expect(mostAtOnce).toBe(CONCURRENCY)
  await eventually('all are finished', async () => ((await raw.queue.getCompletedCount()) === ended ? true : undefined))
})

test('once it is paused it fetches nothing more, though many have come in a row', async () => {
  const raw = await queueWith(CONCURRENCY)
  // BullMQ's own, which goes to Redis; here it is only counted.
  const prototype = Worker.prototype as unknown as { moveToActive: (...args: unknown[]) => Promise<unknown> }
  const fetchOne = prototype.moveToActive
  let fetches = 0
  let sayPaused = () => {}
  const paused = new Promise<void>((resolve) => {
    sayPaused = resolve
  })
  const spy = jest.spyOn(prototype, 'moveToActive').mockImplementation(async function (this: unknown, ...args) {
    fetches++
    const job = await fetchOne.apply(this, args)
    // The last one before there would be more of them at once.
    if (fetches === 16) {
      void worker.pause(true)
      sayPaused()
    }
    return job
  })
  closing.push(async () => spy.mockRestore())
  const worker = startWorker(raw, () => paused)
  await eventually('all that were fetched have ended', async () => {
    const { active, completed = 0 } = await raw.queue.getJobCounts('active', 'completed')
    return completed > 0 && active === 0 ? true : undefined
  })
  expect([fetches, await raw.queue.getCompletedCount()]).toEqual([16, 16])
})

test('a worker that stops hands on the job that only it knew of: another one is on time', async () => {
  const raw = await queueWith(0)
  const begunAt: number[] = []
  const open = () =>
    new CheckWorker(raw.name, async () => void begunAt.push(Date.now()), {
      connection: { url: redisUrl(), maxRetriesPerRequest: null },
      heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
      ring: () => raw.redis.ping(),
      wakeAnother: () => raw.redis.zadd(raw.queue.toKey('marker'), 0, '0'),
      longestSleepMs: 10_000,
      clock: systemClock,
    })
  const workers = [open(), open()]
  closing.push(...workers.map((worker) => () => worker.close(true)))
  const informedOf: CheckWorker[] = []
  for (const worker of workers) {
    const sleep = worker as unknown as { getBlockTimeout: (blockUntil: number) => number }
    const timeoutOf = sleep.getBlockTimeout.bind(worker)
    sleep.getBlockTimeout = (blockUntil) => {
      if (blockUntil > 0) informedOf.push(worker)
      return timeoutOf(blockUntil)
    }
  }
  const asleep = async () => Number(/blocked_clients:(\d+)/.exec(await raw.redis.info('clients'))?.[1])
  await eventually('both sleep', async () => (await asleep()) >= 2)
  const dueAt = Date.now() + 2_000
  await raw.queue.add('check-payment', {}, { delay: 2_000 })
  const informed = await eventually('one of them knows of it', () => informedOf[0])
  await informed.close()
  await eventually('the other one has it', () => begunAt.length === 1)
  expect((begunAt[0] as number) - dueAt).toBeLessThan(500)
})
