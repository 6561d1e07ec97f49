import { expect, test } from '@jest/globals'
import { CheckWorker } from '../../src/queue/check-worker.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const CONCURRENCY = 200

test('a check begins as soon as it is fetched, not when as many are as there is room for, and all of them do', async () => {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  await raw.queue.addBulk(
    Array.from({ length: 3 * CONCURRENCY }, (_, n) => ({
      name: 'check-payment',
      data: {},
      opts: { jobId: `job-${n}` },
    })),
  )
  let fetchedWithFirst: number | undefined
  let mostAtOnce = 0
  let atOnce = 0
  let ended = 0
  const worker = new CheckWorker(
    raw.name,
    async () => {
      mostAtOnce = Math.max(mostAtOnce, ++atOnce)
      fetchedWithFirst ??= await raw.queue.getActiveCount()
      // Nobody ends before as many have begun as there is room for.
      await eventually('all that may have begun', () => (mostAtOnce === CONCURRENCY ? true : undefined))
      atOnce--
      ended++
    },
    {
      connection: { url: redisUrl(), maxRetriesPerRequest: null },
      concurrency: CONCURRENCY,
      heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
      ring: async () => {},
      clock: systemClock,
    },
  )
  closing.push(() => worker.close(true))
  await eventually('all have ended', () => (ended === 3 * CONCURRENCY ? true : undefined))
  expect(fetchedWithFirst).toBeLessThan(CONCURRENCY / 2)
  expect(mostAtOnce).toBe(CONCURRENCY)
  await eventually('all are finished', async () => ((await raw.queue.getCompletedCount()) === ended ? true : undefined))
})
