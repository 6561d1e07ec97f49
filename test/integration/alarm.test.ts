import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { CheckWorker } from '../../src/queue/check-worker.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const JOBS = 40
/** So far apart that each finds the worker asleep, and not in step with Redis' timer. */
const APART_MS = 37

/** How late each of some jobs begins, in milliseconds, in the order of lateness. */
async function latenessOf(options: { workers: number; ring: () => Promise<unknown> }): Promise<number[]> {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const started = new Map<string, number>()
  for (let n = 0; n < options.workers; n++) {
    const worker = new CheckWorker(
      raw.name,
      async (job) => {
        started.set(job.id as string, Date.now())
      },
      {
        connection: { url: redisUrl(), maxRetriesPerRequest: null },
        heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
        ring: options.ring,
        clock: systemClock,
      },
    )
    closing.push(() => worker.close(true))
    await worker.waitUntilReady()
  }
  const timestamp = Date.now()
  const delayOf = (n: number) => 500 + n * APART_MS
  await raw.queue.addBulk(
    Array.from({ length: JOBS }, (_, n) => ({
      name: 'check-payment',
      data: {},
      opts: { jobId: `job-${n}`, timestamp, delay: delayOf(n) },
    })),
  )
  await eventually('all have begun', () => (started.size === JOBS ? true : undefined))
  return Array.from({ length: JOBS }, (_, n) => (started.get(`job-${n}`) as number) - timestamp - delayOf(n)).sort(
    (a, b) => a - b,
  )
}

const median = (sorted: number[]) => sorted[Math.floor(sorted.length / 2)] as number

test.each([1, 3])(
  '%d workers begin on the millisecond, never early; without the alarm they would not',
  async (workers) => {
    const redis = new Redis(redisUrl())
    closing.push(async () => redis.disconnect())
    const rung = await latenessOf({ workers, ring: () => redis.ping() })
    expect(rung[0]).toBeGreaterThanOrEqual(0)
    expect(median(rung)).toBeLessThan(20)

    const left = await latenessOf({ workers: 1, ring: async () => {} })
    expect(median(left)).toBeGreaterThan(median(rung))
  },
)
