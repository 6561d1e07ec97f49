import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { PACKETS, placeJobs } from '../../src/queue/jobs.ts'
import { openQueue } from '../../src/queue/open-queue.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { bullMqScriptOf, type Script } from '../../src/redis/scripts.ts'
import { runInBatches } from '../../src/runtime/batcher.ts'
import { createRedisStore } from '../../src/stores/redis/kind.ts'
import { RedisOrders } from '../../src/stores/redis/orders.ts'
import { startRedis } from '../helpers/processes.ts'

const PAST = Date.now() - 1_000
const LATER = Date.now() + 3_600_000

test('Redis is never held for long, however large the batch, and whatever waits', async () => {
  const server = await startRedis({ appendOnly: true })
  const connection = new Connection({ address: server.url, profile: commandProfile(server.url, 10_000) })
  const own = connection.redis
  const queue = namedQueue({ name: 'q' })
  const [records, large] = [new RedisOrders({ redis: own, queue }), createRedisStore({ connection, queue })]
  /** The longest of the scripts that a piece of work runs, in microseconds. */
  async function longestScript(work: () => Promise<unknown>): Promise<number> {
    await own.slowlog('RESET')
    await work()
    const entries = (await own.slowlog('GET', 1_000)) as [id: number, at: number, us: number, command: string[]][]
    const scripts = entries.filter(([, , , command]) => /^eval/i.test(command[0] ?? ''))
    expect(scripts).not.toEqual([])
    return Math.max(...scripts.map(([, , us]) => us))
  }
  try {
    await own.config('SET', 'slowlog-log-slower-than', '0')
    await own.config('SET', 'slowlog-max-len', '1000')
    const uuid = (n: number) => `4f0c8e0a-0000-4000-8000-${`${n}`.padStart(12, '0')}`
    const batch = (from: number) =>
      Array.from({ length: 1_000 }, (_, n) => ({ orderId: uuid(from + n), deadline: PAST, placedAt: PAST }))
    for (let from = 0; from < 50_000; from += 1_000) await records.record(batch(from))

    const longest = new Map<string, number[]>()
    for (let run = 0; run < 5; run++) {
      const from = run * 1_000
      const work: Record<string, () => Promise<unknown>> = {
        record: () => records.record(batch(100_000 + from)),
        'dry run': () => large.cancelUnpaid(batch(from), { dryRun: true }),
        cancel: () => large.cancelUnpaid(batch(from)),
        keep: () => large.cancelUnpaid(batch(from)),
        'first page': () => large.unpaidDueBefore(PAST, undefined, 1_000),
        'later page': () => large.unpaidDueBefore(PAST, { orderId: uuid(30_000), deadline: PAST }, 1_000),
        'page behind what is gone': () =>
          large.unpaidDueBefore(PAST, { orderId: `${uuid(30_000)}0`, deadline: PAST }, 1_000),
      }
      for (const [what, run] of Object.entries(work)) {
        longest.set(what, [...(longest.get(what) ?? []), await longestScript(run)])
      }
    }
    const medians = [...longest].map(([what, us]) => [what, us.toSorted((a, b) => a - b)[2] as number] as const)
    expect(medians.filter(([, us]) => us > 5_000)).toEqual([])
  } finally {
    own.disconnect()
    await server.stop()
  }
})

test('nor is it by adding orders: new ones or those that are there, due later or at once, whatever version BullMQ is', async () => {
  const server = await startRedis({ appendOnly: true })
  const [redis, other] = [new Redis(server.url), new Redis(server.url)]
  const queue = namedQueue({ name: 'q' })
  try {
    const known = { queue: openQueue({ queue, redis }), redis, keys: queue.keys }
    const unknown = { queue: openQueue({ queue, redis: other }), redis: other, keys: queue.keys }
    await Promise.all([known.queue.waitUntilReady(), unknown.queue.waitUntilReady()])
    const { lua, numberOfKeys } = bullMqScriptOf(other, 'addDelayedJob') as Script
    other.defineCommand('addDelayedJob:6.7.0', { lua: `${lua}\n-- not known`, numberOfKeys })
    const add = (open: typeof known, from: number, deadline: number) => {
      const items = Array.from({ length: 1_000 }, (_, n) => ({
        orderId: `${from + n}`,
        deadline: deadline + n,
        placedAt: PAST,
      }))
      return runInBatches({ ...PACKETS, items, run: (some) => placeJobs(open, some) })
    }
    await redis.config('SET', 'slowlog-log-slower-than', '0')
    await redis.config('SET', 'slowlog-max-len', '1000')
    const times = new Map<string, number[]>()
    for (let from = 0; from < 50_000; from += 10_000) {
      const work: Record<string, () => Promise<unknown>> = {
        new: () => add(known, from, LATER),
        there: () => add(known, from, LATER),
        due: () => add(known, from + 1_000, PAST - 2_000),
        'not known': () => add(unknown, from + 2_000, LATER),
      }
      for (const [what, run] of Object.entries(work)) {
        await redis.slowlog('RESET')
        await run()
        const entries = (await redis.slowlog('GET', 1_000)) as [id: number, at: number, us: number, command: string[]][]
        const scripts = entries.filter(([, , , command]) => /^eval/i.test(command[0] ?? ''))
        times.set(what, [...(times.get(what) ?? []), ...scripts.map(([, , us]) => us)])
      }
    }
    expect(await redis.zcard(queue.keys.delayed)).toBe(10_000)
    // The longest say more of what else the machine does.
    const medians = [...times].map(([what, us]) => [what, us.sort((a, b) => a - b)[us.length >> 1] as number] as const)
    expect(medians.filter(([, us]) => us > 3_000)).toEqual([])
  } finally {
    redis.disconnect()
    other.disconnect()
    await server.stop()
  }
})
