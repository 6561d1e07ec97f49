import { once } from 'node:events'
import { beforeAll, describe, expect, test } from '@jest/globals'
import type { JobJson } from 'bullmq'
import { Redis } from 'ioredis'
import { addIfAbsent } from '../../src/queue/add-if-absent.ts'
import { canAddInBatch } from '../../src/queue/batch-addition.ts'
import type { OpenQueue } from '../../src/queue/check-queue.ts'
import { jobIdOf, jobOf, type Placement } from '../../src/queue/contract.ts'
import { openQueue } from '../../src/queue/open-queue.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { producerProfile } from '../../src/redis/profiles.ts'
import { bullMqScriptOf, type Script } from '../../src/redis/scripts.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { startRedis } from '../helpers/processes.ts'

const MINUTE = 60_000
const PLACED_AT = Date.now()
const DEADLINE = PLACED_AT + 10 * MINUTE

const KINDS = ['in batches', 'by the scripts of another BullMQ'] as const
type Kind = (typeof KINDS)[number]

async function open(kind: Kind, url = redisUrl()): Promise<OpenQueue> {
  const redis = new Redis({ ...producerProfile(url, 5_000), enableOfflineQueue: true })
  redis.on('error', () => {})
  const named = namedQueue({ name: uniqueName('additions') })
  const queue = openQueue({ queue: named, redis })
  closing.push(async () => {
    await queue.obliterate({ force: true }).catch(() => {})
    redis.disconnect()
  })
  await queue.waitUntilReady()
  if (kind === 'by the scripts of another BullMQ') {
    const { lua, numberOfKeys } = bullMqScriptOf(redis, 'addDelayedJob') as Script
    redis.defineCommand('addDelayedJob:6.7.0', { lua: `${lua}\n-- not known`, numberOfKeys })
  }
  return { queue, redis, keys: named.keys }
}

const placement = (orderId: string, more: Partial<Placement> = {}): Placement => ({
  orderId,
  deadline: DEADLINE,
  placedAt: PLACED_AT,
  ...more,
})

/** All that a queue has in Redis, whatever its name. */
async function contentOf({ queue, redis }: OpenQueue): Promise<Record<string, unknown>> {
  const content: Record<string, unknown> = {}
  for (const key of (await redis.keys(`${queue.toKey('')}*`)).sort()) {
    const read: Record<string, () => Promise<unknown>> = {
      hash: async () => {
        const { opts, ...others } = await redis.hgetall(key)
        return opts === undefined ? others : { ...others, opts: JSON.parse(opts) } // it is for them how they write JSON
      },
      zset: () => redis.zrange(key, '0', '-1', 'WITHSCORES'),
      list: () => redis.lrange(key, 0, -1),
      stream: async () => (await redis.xrange(key, '-', '+')).map(([, fields]) => fields),
      string: () => redis.get(key),
    }
    content[key.slice(queue.toKey('').length)] = await (read[await redis.type(key)] as (typeof read)[string])()
  }
  return content
}

/** As BullMQ adds each of them itself. */
async function addByBullMq({ queue }: OpenQueue, placements: readonly Placement[]): Promise<void> {
  for (const job of placements.map(jobOf)) await queue.getBackend().addJob(job as typeof job & JobJson, job.id)
}

// A script that Redis does not know comes once more, after the others.
beforeAll(async () => {
  for (const kind of KINDS)
    await addIfAbsent(await open(kind), [placement('a'), placement('b', { deadline: PLACED_AT })])
})

test('the BullMQ that is installed is one whose script is known', async () => {
  expect(canAddInBatch((await open('in batches')).redis)).toBe(true)
  expect(canAddInBatch((await open('by the scripts of another BullMQ')).redis)).toBe(false)
})

describe.each(KINDS)('jobs that are added %s', (kind) => {
  test.each<[what: string, placements: Placement[]]>([
    ['one', [placement('a')]],
    ['many for the same time', Array.from({ length: 50 }, (_, n) => placement(`${n}`))],
    [
      'each for a time of its own, the last one first',
      Array.from({ length: 50 }, (_, n) => placement(`${n}`, { deadline: DEADLINE - 7 * n })),
    ],
    ['at other times', [1, 3, 2].map((n) => placement(`${n}`, { placedAt: PLACED_AT - n }))],
    ['due at once, and later', [0, -MINUTE, 1, 0, 2].map((ms, n) => placement(`${n}`, { deadline: PLACED_AT + ms }))],
    [
      'by somebody, with a trace',
      [placement('a', { by: 'the till', trace: '{"traceparent":"00-1/2"}' }), placement('b')],
    ],
    ['of any name', ['a:b', '50%', '订单', '🛒', '"\\\n', 'x'.repeat(200)].map((id) => placement(id))],
  ])('leave the queue as BullMQ does: %s', async (_, placements) => {
    const [ours, bullmq] = [await open(kind), await open(kind)]
    expect(await addIfAbsent(ours, placements)).toEqual(placements.map(() => undefined))
    await addByBullMq(bullmq, placements)
    const expected = await contentOf(bullmq)
    expect(await contentOf(ours)).toEqual(expected)
    expect(Object.keys(expected)).toEqual(expect.arrayContaining(['events', 'id', 'marker', 'meta']))
  })

  test('leave the queue as BullMQ does where as many are due in a millisecond as it can tell apart', async () => {
    const queues = [await open(kind), await open(kind)] as const
    const placements = [1, 2, 3].map((n) => placement(`${n}`))
    const last = (DEADLINE + 1) * 0x1000 - 1
    for (const { redis, keys } of queues) {
      await redis.zadd(keys.delayed, last - 1, 'one', (PLACED_AT + 1) * 0x1000, 'another')
      await redis.hset(keys.meta, { 'opts.maxLenEvents': 2 })
    }
    await addIfAbsent(queues[0], placements)
    await addByBullMq(queues[1], placements)
    const [ours, bullmq] = [await contentOf(queues[0]), await contentOf(queues[1])]
    expect(ours).toEqual(bullmq)
    expect(await queues[0].redis.zscore(queues[0].keys.delayed, jobIdOf('3'))).toBe(`${last}`)
  })

  test('leave no more events than BullMQ keeps', async () => {
    const queue = await open(kind)
    await queue.redis.hset(queue.keys.meta, { 'opts.maxLenEvents': 10 })
    for (let from = 0; from < 400; from += 50) {
      await addIfAbsent(
        queue,
        Array.from({ length: 50 }, (_, n) => placement(`${from + n}`)),
      )
    }
    expect(await queue.redis.xlen(queue.keys.stream)).toBeLessThanOrEqual(300) // Redis drops whole nodes of a hundred
  })

  test('leave alone those that are there, and say what was: also those that are twice in the list', async () => {
    const queue = await open(kind)
    const first = placement('a', { deadline: DEADLINE + 5, placedAt: PLACED_AT - 3 })
    const due = placement('due', { deadline: PLACED_AT })
    await addIfAbsent(queue, [first])
    const list = [placement('a'), placement('b'), placement('b', { deadline: DEADLINE + 1 }), due, placement('due')]
    const was = (deadline: number, placedAt = PLACED_AT) => ({ deadline, placedAt, isFinished: false })
    expect(await addIfAbsent(queue, list)).toEqual([
      was(DEADLINE + 5, PLACED_AT - 3),
      undefined,
      was(DEADLINE),
      undefined,
      was(PLACED_AT),
    ])
    const twice = [placement('new'), placement('new', { deadline: DEADLINE + 1 })]
    expect(await addIfAbsent(queue, twice)).toEqual([undefined, was(DEADLINE)])
    const before = await contentOf(queue)
    expect((await addIfAbsent(queue, list)).every((job) => job && 'deadline' in job)).toBe(true)
    expect(await contentOf(queue)).toEqual(before)
  })

  test('are added beside one that Redis refuses', async () => {
    const queue = await open(kind)
    for (const id of ['a', 'd']) await queue.redis.set(queue.keys.job(jobIdOf(id)), 'no job')
    const due = { deadline: PLACED_AT }
    const list = [placement('a'), placement('b'), placement('c', due), placement('d', due), placement('e', due)]
    const wrongType = expect.objectContaining({
      message: expect.stringContaining('WRONGTYPE'),
      command: expect.objectContaining({ name: 'evalsha' }),
    })
    expect(await addIfAbsent(queue, list)).toEqual([wrongType, undefined, undefined, wrongType, undefined])
    expect(await queue.queue.getJobCounts('delayed', 'waiting')).toEqual({ delayed: 1, waiting: 2 })
    expect(await addIfAbsent(queue, [placement('a')])).toEqual([wrongType])
  })

  test('are each refused where Redis is full, and leave nothing; those that are there are told of', async () => {
    const server = await startRedis()
    closing.push(() => server.stop())
    const queue = await open(kind, server.url)
    await addIfAbsent(queue, [placement('a')])
    const before = await contentOf(queue)
    await queue.redis.config('SET', 'maxmemory', '1mb')
    const full = expect.objectContaining({ message: expect.stringMatching(/^OOM/) })
    const due = placement('c', { deadline: PLACED_AT })
    const was = expect.objectContaining({ deadline: DEADLINE })
    expect(await addIfAbsent(queue, [placement('b'), placement('a'), due])).toEqual([full, was, full])
    expect(await contentOf(queue)).toEqual(before)
  })

  test('have ioredis look for the new primary, though one of them is there', async () => {
    const primary = await startRedis()
    closing.push(() => primary.stop())
    const queue = await open(kind, primary.url)
    await addIfAbsent(queue, [placement('a')])
    await queue.redis.replicaof('127.0.0.1', 1)
    const reconnecting = once(queue.redis, 'reconnecting')
    const readOnly = expect.objectContaining({ message: expect.stringMatching(/^READONLY/) })
    expect(await addIfAbsent(queue, [placement('a'), placement('b')])).toEqual([readOnly, readOnly])
    await reconnecting
  })

  test('are added by scripts that Redis has forgotten', async () => {
    const server = await startRedis()
    closing.push(() => server.stop())
    const queue = await open(kind, server.url)
    await addIfAbsent(queue, [placement('a')])
    await queue.redis.script('FLUSH')
    const both = await Promise.all([addIfAbsent(queue, [placement('b')]), addIfAbsent(queue, [placement('c')])])
    expect(both).toEqual([[undefined], [undefined]])
    expect(await queue.queue.getDelayedCount()).toBe(3)
  })
})
