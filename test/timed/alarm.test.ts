import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import type { Check } from '../../src/order/order.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { kept, startPump } from '../helpers/pump.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const JOBS = 40
/** So far apart that each finds the worker asleep, and not in step with Redis' timer. */
const APART_MS = 37

/** Tells when each job is begun. */
function startWorker(options: {
  raw: RawQueue
  onBegun: (orderId: string) => void
  ring: () => Promise<unknown>
}): Promise<unknown> {
  const { raw, onBegun, ring } = options
  const settle = async (checks: readonly Check[]) => {
    for (const { orderId } of checks) onBegun(orderId)
    return checks.map(kept)
  }
  return startPump(raw, { settle, ring })
}

/** How late each of some jobs begins, in milliseconds, in the order of lateness. */
async function latenessOf(options: { workers: number; ring: () => Promise<unknown> }): Promise<number[]> {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const started = new Map<string, number>()
  for (let n = 0; n < options.workers; n++) {
    await startWorker({ raw, onBegun: (orderId) => started.set(orderId, Date.now()), ring: options.ring })
  }
  const timestamp = Date.now()
  const delayOf = (n: number) => 500 + n * APART_MS
  await raw.queue.addBulk(
    Array.from({ length: JOBS }, (_, n) => ({
      name: 'check-payment',
      data: { orderId: `job-${n}` },
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

test('a job that is due just after the longest wait begins on the millisecond as well', async () => {
  const redis = new Redis(redisUrl())
  closing.push(async () => redis.disconnect())
  // A second is the longest. Redis' timer comes ten times a second; they begin all over such a tenth, each with its own worker.
  const lateness = await Promise.all(
    Array.from({ length: 10 }, async (_, n) => {
      const raw = new RawQueue()
      closing.push(() => raw.close())
      let begun = (_at: number) => {}
      const begunAt = new Promise<number>((resolve) => {
        begun = resolve
      })
      await startWorker({ raw, onBegun: () => begun(Date.now()), ring: () => redis.ping() })
      await systemClock.sleep(100 + 10 * n)
      const timestamp = Date.now()
      await raw.queue.add('check-payment', { orderId: '1' }, { jobId: 'job-1', timestamp, delay: 1_005 })
      return (await begunAt) - timestamp - 1_005
    }),
  )
  lateness.sort((a, b) => a - b)
  expect(lateness[0]).toBeGreaterThanOrEqual(0)
  expect(median(lateness)).toBeLessThan(20)
})
