import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as nextMoment } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { OrderExpiry, type OrderExpiryOptions } from '../../src/index.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { RedisOrders } from '../../src/stores/redis/orders.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { freePort, startRedis } from '../helpers/processes.ts'

async function readHash(queue: Queue, jobId: string): Promise<Record<string, string>> {
  const redis = new Redis(redisUrl())
  try {
    return await redis.hgetall(queue.toKey(jobId))
  } finally {
    redis.disconnect()
  }
}

const MINUTE = 60_000
const YEAR = 366 * 24 * 60 * MINUTE

function openShop(options: Partial<OrderExpiryOptions> = {}): { shop: OrderExpiry; queue: Queue; queueName: string } {
  const queueName = uniqueName('client')
  const shop = new OrderExpiry({ redis: redisUrl(), queueName, ...options })
  const redis = new Redis(redisUrl(), { maxRetriesPerRequest: null })
  const queue = new Queue(queueName, { connection: redis })
  closing.push(async () => {
    await shop.close()
    await queue.obliterate({ force: true })
    await queue.close()
    redis.disconnect()
  })
  return { shop, queue, queueName }
}

for (const orders of [undefined, 'redis'] as const) {
  describe(orders ? 'orders recorded here' : "orders in the shop's own table", () => {
    const open = () => openShop(orders ? { orders } : {})

    test('schedule puts a job of the contract into the queue, and nothing more', async () => {
      const { shop, queue } = open()
      const deadline = Date.now() + MINUTE
      expect(await shop.schedule({ orderId: 1234, deadline })).toEqual({
        orderId: '1234',
        result: 'scheduled',
        deadline: new Date(deadline),
      })
      const job = await queue.getJob('order-1234')
      expect(job?.name).toBe('check-payment')
      expect(job?.data).toEqual({ orderId: '1234', deadline })
      expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(deadline)
      const stored = await readHash(queue, 'order-1234')
      expect(Object.keys(stored).sort()).toEqual(['data', 'delay', 'name', 'opts', 'priority', 'timestamp'])
      expect(JSON.parse(stored.data ?? '')).toEqual({ orderId: '1234', deadline })
      expect(JSON.parse(stored.opts ?? '')).toEqual({ delay: job?.delay })
      expect(await queue.getJobCounts()).toMatchObject({ delayed: 1, waiting: 0 })
    })

    test.each([
      ['a Date', () => new Date(Date.now() + MINUTE), MINUTE],
      ['epoch milliseconds', () => Date.now() + MINUTE, MINUTE],
      [
        'ISO 8601 with an offset',
        () => new Date(Date.now() + MINUTE + 3_600_000).toISOString().replace('Z', '+01:00'),
        MINUTE,
      ],
      ['a time-out', () => '15m', 15 * MINUTE],
      ['nothing: five minutes', () => undefined, 5 * MINUTE],
    ])('a deadline can be given as %s', async (_, input, aheadMs) => {
      const { shop } = open()
      const before = Date.now()
      const deadline = input()
      const result = await shop.schedule({ orderId: 'x', ...(deadline !== undefined && { deadline }) })
      expect(result.deadline.getTime()).toBeGreaterThanOrEqual(before + aheadMs - 1)
      expect(result.deadline.getTime()).toBeLessThanOrEqual(Date.now() + aheadMs)
    })

    test('scheduling again is harmless: unchanged for the same deadline, conflict for another, and nothing moves', async () => {
      const { shop, queue } = open()
      const deadline = Date.now() + MINUTE
      await shop.schedule({ orderId: 'a', deadline })
      expect(await shop.schedule({ orderId: 'a', deadline })).toMatchObject({
        result: 'unchanged',
        deadline: new Date(deadline),
      })
      expect(await shop.schedule({ orderId: 'a', deadline: deadline + MINUTE })).toEqual({
        orderId: 'a',
        result: 'conflict',
        deadline: new Date(deadline),
      })
      const [job] = await queue.getDelayed()
      expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(deadline)
      expect(await queue.getDelayedCount()).toBe(1)
    })

    test('the same time-out again is unchanged, another one a conflict, and the first one counts', async () => {
      const { shop } = openShop({ paymentTimeout: '15m', ...(orders && { orders }) })
      const same = [{ orderId: 'a', deadline: '15m' }, { orderId: 'a' }] // the default is a time-out as well
      const { deadline } = await shop.schedule({ orderId: 'a', deadline: '15m' })
      await eventually('time has passed', () => Date.now() > deadline.getTime() - 15 * MINUTE)
      for (const item of same)
        expect(await shop.schedule(item)).toEqual({ orderId: 'a', result: 'unchanged', deadline })
      expect(await shop.scheduleMany(same)).toMatchObject(same.map(() => ({ result: 'unchanged', deadline })))
      expect(await shop.schedule({ orderId: 'a', deadline: '16m' })).toMatchObject({ result: 'conflict', deadline })
      const instant = new Date(deadline.getTime() + 1)
      expect(await shop.schedule({ orderId: 'a', deadline: instant })).toMatchObject({ result: 'conflict', deadline })
      await shop.reschedule({ orderId: 'a', deadline: '1h' })
      expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toMatchObject({ result: 'conflict' })
    })

    test.each<[item: Record<string, unknown>, why: RegExp]>([
      [{ timeout: '15m' }, /"timeout"; did you mean deadline\?/],
      [{ expiresAt: new Date() }, /"expiresAt"; did you mean deadline\?/],
      [{ dead_line: '15m' }, /did you mean deadline\?/],
      [{ delay: 1_000 }, /did you mean deadline\?/],
      [{ timeout: undefined }, /did you mean deadline\?/],
      [{ deadline: '15m', timeout: '15m' }, /"timeout"; expected/],
      [{ deadline: '15m', total: 5 }, /expected orderId, deadline, allowPast, by/],
      [{ deadline: '15m', allowPast: 'no' }, /allowPast: expected true or false, given string/],
      [{ deadline: '15m', by: 7 }, /by: expected a string, given number/],
    ])('an order with %j is refused, in each call, and nothing is written', async (fields, why) => {
      const { shop, queue } = open()
      const item = { orderId: 'a', ...fields } as { orderId: string; deadline: string }
      const refused = { code: 'INVALID_REQUEST', message: expect.stringMatching(why) }
      await expect(shop.schedule(item)).rejects.toMatchObject(refused)
      await expect(shop.reschedule(item)).rejects.toMatchObject(refused)
      expect(await shop.scheduleMany([item])).toMatchObject([{ orderId: 'a', error: refused }])
      await expect(shop.scheduleMany(item as never)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
      expect(await queue.getJobCounts()).toMatchObject({ delayed: 0, waiting: 0 })
    })

    test('of calls at the same moment exactly one schedules', async () => {
      const { shop } = open()
      const deadline = Date.now() + MINUTE
      const results = await Promise.all(Array.from({ length: 20 }, () => shop.schedule({ orderId: 'a', deadline })))
      expect(results.map(({ result }) => result).sort()).toEqual(['scheduled', ...Array(19).fill('unchanged')])
    })

    test('of clients that schedule many orders at the same moment exactly one schedules each', async () => {
      const { shop, queueName } = open()
      const others = [1, 2, 3].map(() => new OrderExpiry({ redis: redisUrl(), queueName, ...(orders && { orders }) }))
      closing.push(() => Promise.all(others.map((other) => other.close())))
      const clients = [shop, ...others]
      for (const client of clients) await client.find('nobody') // connected
      const deadline = Date.now() + MINUTE
      const ids = Array.from({ length: 500 }, (_, n) => `${n}`)
      const results = await Promise.all([
        ...clients.map((client) => client.scheduleMany(ids.map((orderId) => ({ orderId, deadline })))),
        ...clients.map((client) => Promise.all(ids.map((orderId) => client.schedule({ orderId, deadline })))),
      ])
      for (const n of ids.keys()) {
        const each = results.map((result) => result[n] as { result: string })
        expect(each.map(({ result }) => result).sort()).toEqual(['scheduled', ...Array(7).fill('unchanged')])
      }
    })

    test('a bad order does not hold up those that are scheduled at the same time', async () => {
      const { shop, queue } = open()
      const items = [{ orderId: 'a' }, { orderId: '' }, { orderId: 'b', deadline: Number.NaN }, null, { orderId: 'c' }]
      const results = await Promise.allSettled(items.map((item) => shop.schedule(item as { orderId: string })))
      expect(results).toMatchObject([
        { status: 'fulfilled', value: { orderId: 'a', result: 'scheduled' } },
        { status: 'rejected', reason: { code: 'INVALID_ORDER_ID' } },
        { status: 'rejected', reason: { code: 'INVALID_DEADLINE' } },
        { status: 'rejected', reason: { code: 'INVALID_ORDER_ID' } },
        { status: 'fulfilled', value: { orderId: 'c', result: 'scheduled' } },
      ])
      expect(await queue.getDelayedCount()).toBe(2)
    })

    test('an order is scheduled as it was when the call was made, whatever the caller does to the item later', async () => {
      const { shop } = open()
      await shop.find('nobody') // connected
      const deadline = new Date(Date.now() + MINUTE)
      const item = { orderId: 'a', deadline }
      const results = [shop.schedule({ orderId: 'first' }), shop.schedule(item)]
      item.orderId = 'b'
      deadline.setTime(deadline.getTime() + MINUTE)
      expect((await Promise.all(results))[1]).toMatchObject({
        orderId: 'a',
        deadline: new Date(deadline.getTime() - MINUTE),
      })
    })

    test('an item may be an object of a class, with accessors', async () => {
      const { shop } = open()
      class Order {
        get orderId() {
          return 'a'
        }
        get deadline() {
          return '15m'
        }
      }
      expect(await shop.schedule(new Order())).toMatchObject({ orderId: 'a', result: 'scheduled' })
      expect(await shop.scheduleMany([new Order(), new Order()])).toMatchObject([{ orderId: 'a' }, { orderId: 'a' }])
    })

    test('scheduleMany takes lists with nothing in them, or with gaps', async () => {
      const { shop } = open()
      expect(await shop.scheduleMany([])).toEqual([])
      const items = new Array<{ orderId: string }>(2)
      items[1] = { orderId: 'a' }
      expect(await shop.scheduleMany(items)).toMatchObject([
        { error: { code: 'INVALID_ORDER_ID' } },
        { orderId: 'a', result: 'scheduled' },
      ])
    })

    test('scheduleMany answers item by item, bad ones included, in chunks', async () => {
      const { shop, queue } = open()
      const deadline = Date.now() + MINUTE
      await shop.schedule({ orderId: 'o-7', deadline: deadline + 1 })
      const items = Array.from({ length: 2_500 }, (_, i) => ({ orderId: `o-${i}`, deadline }))
      const results = await shop.scheduleMany([
        ...items,
        { orderId: '', deadline },
        { orderId: 'late', deadline: Date.now() - 2 * MINUTE },
        { orderId: 'o-8', deadline },
        { orderId: 'o-9', deadline: deadline + 5 },
      ])
      expect(results).toHaveLength(2_504)
      expect(results[0]).toEqual({ orderId: 'o-0', result: 'scheduled', deadline: new Date(deadline) })
      expect(results[7]).toEqual({ orderId: 'o-7', result: 'conflict', deadline: new Date(deadline + 1) })
      expect(results[2_500]).toMatchObject({ orderId: '', error: { code: 'INVALID_ORDER_ID' } })
      expect(results[2_501]).toMatchObject({ orderId: 'late', error: { code: 'INVALID_DEADLINE' } })
      expect(results[2_502]).toMatchObject({ orderId: 'o-8', result: 'unchanged' })
      expect(results[2_503]).toMatchObject({ orderId: 'o-9', result: 'conflict', deadline: new Date(deadline) })
      expect(results.filter((result) => 'result' in result && result.result === 'scheduled')).toHaveLength(2_499)
      expect(await queue.getDelayedCount()).toBe(2_500)
    })

    test('reschedule moves the deadline, earlier and later', async () => {
      const { shop, queue } = open()
      const deadline = Date.now() + 10 * MINUTE
      await shop.schedule({ orderId: 'a', deadline })
      for (const moved of [deadline - 5 * MINUTE, deadline + 5 * MINUTE]) {
        expect(await shop.reschedule({ orderId: 'a', deadline: moved })).toMatchObject({
          result: 'rescheduled',
          deadline: new Date(moved),
        })
        const [job] = await queue.getDelayed()
        expect(job?.data).toEqual({ orderId: 'a', deadline: moved })
        // BullMQ counts the new delay from its own reading of the clock.
        const client = new Redis(redisUrl())
        const score = Number(await client.zscore(queue.toKey('delayed'), 'order-a')) / 0x1000
        client.disconnect()
        expect(Math.abs(score - moved)).toBeLessThan(2_000)
        expect((await shop.find('a'))?.check).toMatchObject({ state: 'waiting', deadline: new Date(moved) })
      }
      expect(await shop.reschedule({ orderId: 'a', deadline: deadline + 5 * MINUTE })).toMatchObject({
        result: 'unchanged',
      })
      expect(await queue.getDelayedCount()).toBe(1)
    })

    test('reschedule wants the new deadline', async () => {
      const { shop, queue } = open()
      await shop.schedule({ orderId: 'a', deadline: '1h' })
      const without = { orderId: 'a' } as { orderId: string; deadline: string }
      await expect(shop.reschedule(without)).rejects.toMatchObject({ code: 'INVALID_DEADLINE' })
      expect((await queue.getDelayed())[0]?.delay).toBeGreaterThan(59 * MINUTE)
    })

    test('after an earlier check has finished or failed, a new one can be scheduled', async () => {
      const { shop, queue } = open()
      const worker = new Worker(
        queue.name,
        async (job) => {
          if (job.data.orderId === 'b') throw new Error('given up')
        },
        { connection: { url: redisUrl() } },
      )
      closing.push(() => worker.close())
      for (const orderId of ['a', 'b']) await shop.schedule({ orderId, deadline: Date.now() - 1 })
      await eventually('both are done', async () => (await queue.getJobCountByTypes('completed', 'failed')) === 2)
      await worker.close()
      const deadline = Date.now() + MINUTE
      if (orders) {
        expect(await shop.reschedule({ orderId: 'a', deadline })).toMatchObject({ result: 'scheduled' })
        expect(await shop.reschedule({ orderId: 'b', deadline })).toMatchObject({ result: 'scheduled' })
      } else {
        expect(await shop.schedule({ orderId: 'a', deadline })).toEqual({
          orderId: 'a',
          result: 'scheduled',
          deadline: new Date(deadline),
        })
        expect(await shop.scheduleMany([{ orderId: 'b', deadline }])).toEqual([
          { orderId: 'b', result: 'scheduled', deadline: new Date(deadline) },
        ])
      }
      expect(await queue.getDelayedCount()).toBe(2)
      expect((await shop.find('b'))?.check).toMatchObject({ state: 'waiting', attempts: 0 })
    })

    test('withdraw takes the check back, once', async () => {
      const { shop, queue } = open()
      await shop.schedule({ orderId: 'a' })
      expect(await shop.withdraw('a')).toMatchObject({ orderId: 'a', result: 'withdrawn' })
      expect(await queue.getDelayedCount()).toBe(0)
      expect((await shop.withdraw('b')).result).toBe('missing')
      expect(await shop.schedule({ orderId: 'a' })).toMatchObject({ result: 'scheduled' })
    })

    test('find tells nothing of what it does not know', async () => {
      const { shop } = open()
      expect(await shop.find('nobody')).toBeUndefined()
    })

    test.each([
      ['all digits', '1234'],
      ['colons', 'a:b:c:d'],
      ['three parts', 'a:b:c'],
      ['a path', '../x'],
      ['SQL', "o'; drop table orders; --"],
      ['emoji', '🎫🛒'],
      ['200 bytes', 'ü'.repeat(100)],
      ['percent signs', 'a%3Ab'],
      ['braces and globs', '{a}*?[]'],
    ])('an id of %s works, and is found again under the same id', async (_, orderId) => {
      const { shop, queue } = open()
      const deadline = Date.now() + MINUTE
      await shop.schedule({ orderId: 'a:b' })
      expect(await shop.schedule({ orderId, deadline })).toMatchObject({ orderId, result: 'scheduled' })
      expect(await shop.find(orderId)).toMatchObject({
        orderId,
        check: { state: 'waiting', deadline: new Date(deadline) },
      })
      expect(await queue.getDelayedCount()).toBe(2)
      expect(await shop.withdraw(orderId)).toMatchObject({ orderId, result: 'withdrawn' })
    })

    test.each([
      ['empty', ''],
      ['over 200 bytes', 'x'.repeat(201)],
      ['not a string', {}],
      ['no safe integer', 2 ** 60],
      ['a control character', 'a\nb'],
    ])('an order id that is %s is refused, and nothing is written', async (_, orderId) => {
      const { shop, queue } = open()
      const bad = orderId as string
      await expect(shop.schedule({ orderId: bad })).rejects.toMatchObject({ code: 'INVALID_ORDER_ID' })
      await expect(shop.reschedule({ orderId: bad, deadline: '1m' })).rejects.toMatchObject({
        code: 'INVALID_ORDER_ID',
      })
      await expect(shop.withdraw(bad)).rejects.toMatchObject({ code: 'INVALID_ORDER_ID' })
      await expect(shop.find(bad)).rejects.toMatchObject({ code: 'INVALID_ORDER_ID' })
      expect(await queue.getJobCounts()).toMatchObject({ delayed: 0, waiting: 0 })
    })

    test.each([
      ['NaN', () => Number.NaN, 'NaN'],
      ['over a minute ago', () => Date.now() - MINUTE - 5_000, 'in the past'],
      ['over a year ahead', () => Date.now() + YEAR + MINUTE, 'over a year'],
      ['ISO without an offset', () => '2026-12-01T10:00:00', 'no offset'],
    ])('a deadline that is %s is refused, saying what was understood', async (_, deadline, message) => {
      const { shop, queue } = open()
      await expect(shop.schedule({ orderId: 'a', deadline: deadline() })).rejects.toMatchObject({
        code: 'INVALID_DEADLINE',
        message: expect.stringContaining(message),
      })
      expect(await queue.getJobCounts()).toMatchObject({ delayed: 0, waiting: 0 })
    })

    test('a deadline in the past is taken with allowPast', async () => {
      const { shop, queue } = open()
      expect(await shop.schedule({ orderId: 'a', deadline: Date.now() - 10 * MINUTE, allowPast: true })).toMatchObject({
        result: 'scheduled',
      })
      expect(await queue.getWaitingCount()).toBe(1)
      expect((await shop.find('a'))?.check?.state).toBe('due')
    })
  })
}

describe('orders recorded here', () => {
  test('pay says whether the money was in time, and a settled order is never revived', async () => {
    const { shop } = openShop({ orders: 'redis' })
    await shop.schedule({ orderId: 'a' })
    expect(await shop.pay('a')).toEqual({ orderId: 'a', result: 'paid', paidAt: expect.any(Date) })
    expect(await shop.pay('a')).toMatchObject({ result: 'paid' })
    expect(await shop.reschedule({ orderId: 'a', deadline: '1h' })).toMatchObject({ result: 'settled', status: 'paid' })
    expect(await shop.withdraw('a')).toMatchObject({ result: 'settled', status: 'paid' })
    expect(await shop.schedule({ orderId: 'a', deadline: '2h' })).toMatchObject({ status: 'paid' })
    expect((await shop.find('a'))?.order).toMatchObject({ status: 'paid', paidAt: expect.any(Date) })
    expect(await shop.reschedule({ orderId: 'nobody', deadline: '1h' })).toMatchObject({ result: 'missing' })
  })

  test('an order that is paid before it is scheduled is known to be paid, and the shop is told that it was missing', async () => {
    const { shop } = openShop({ orders: 'redis' })
    expect(await shop.pay('early')).toEqual({ orderId: 'early', result: 'missing', paidAt: expect.any(Date) })
    expect(await shop.schedule({ orderId: 'early', deadline: '15m' })).toMatchObject({ status: 'paid' })
    expect((await shop.find('early'))?.order).toMatchObject({ status: 'paid' })
  })

  test('an order that is recorded without a check gets one, for the deadline on record', async () => {
    const { shop, queue, queueName } = openShop({ orders: 'redis' })
    const redis = new Redis(redisUrl())
    const deadline = Date.now() + MINUTE
    await new RedisOrders({ redis, queue: namedQueue({ name: queueName }) }).record([{ orderId: 'a', deadline }])
    redis.disconnect()
    expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toMatchObject({
      result: 'conflict',
      deadline: new Date(deadline),
    })
    expect((await queue.getDelayed())[0]?.data).toEqual({ orderId: 'a', deadline })
  })

  test('a withdrawn order is not among the unpaid any more', async () => {
    const { shop, queueName } = openShop({ orders: 'redis' })
    await shop.schedule({ orderId: 'a', deadline: '1m' })
    await shop.withdraw('a')
    const redis = new Redis(redisUrl())
    const left = await new RedisOrders({ redis, queue: namedQueue({ name: queueName }) }).unpaidDueBefore(
      Date.now() + MINUTE,
      undefined,
      10,
    )
    redis.disconnect()
    expect(left).toEqual([])
  })

  test('pay is refused where the shop keeps its own table', async () => {
    const { shop } = openShop()
    await expect(shop.pay('a')).rejects.toMatchObject({ code: 'NOT_RECORDED_HERE' })
  })
})

describe('when Redis is away', () => {
  const calls: [string, (shop: OrderExpiry) => Promise<unknown>][] = [
    ['schedule', (shop) => shop.schedule({ orderId: 'a' })],
    ['scheduleMany', (shop) => shop.scheduleMany([{ orderId: 'a' }, { orderId: 'b' }])],
    ['reschedule', (shop) => shop.reschedule({ orderId: 'a', deadline: '1m' })],
    ['withdraw', (shop) => shop.withdraw('a')],
    ['find', (shop) => shop.find('a')],
    ['pay', (shop) => shop.pay('a')],
  ]

  async function expectUnavailable(shop: OrderExpiry): Promise<void> {
    for (const [, call] of calls) {
      const startedAt = Date.now()
      await expect(call(shop)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE', retryable: true })
      expect(Date.now() - startedAt).toBeLessThan(2_000)
    }
  }

  test('every call rejects within 2 s if nothing listens, and works once Redis is there', async () => {
    const port = await freePort()
    const { shop } = openShop({ redis: `redis://127.0.0.1:${port}`, orders: 'redis' })
    await expectUnavailable(shop)
    const redis = await startRedis({ port })
    closing.push(() => redis.stop())
    const result = await eventually('Redis is found again', () =>
      shop.schedule({ orderId: 'a' }).catch(() => undefined),
    )
    expect(result.result).toBe('scheduled')
  })

  test('every call rejects within 2 s if something listens and never answers', async () => {
    const hole = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
    await once(hole, 'listening')
    const address = hole.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { shop } = openShop({ redis: `redis://127.0.0.1:${port}`, orders: 'redis' })
    closing.push(() => hole.close())
    await expectUnavailable(shop)
  })

  test('every call rejects within 2 s if Redis freezes under a connection in use, and works when it thaws', async () => {
    const redis = await startRedis()
    closing.push(() => redis.stop())
    const { shop } = openShop({ redis: redis.url, orders: 'redis' })
    await shop.schedule({ orderId: 'first' })
    process.kill(redis.pid, 'SIGSTOP')
    try {
      await expectUnavailable(shop)
    } finally {
      process.kill(redis.pid, 'SIGCONT')
    }
    const result = await eventually('Redis answers again', () =>
      shop.schedule({ orderId: 'second' }).catch(() => undefined),
    )
    expect(result.result).toBe('scheduled')
  })

  test('a call in the middle of many others rejects within 2 s as well, if Redis freezes', async () => {
    const redis = await startRedis()
    closing.push(() => redis.stop())
    const { shop } = openShop({ redis: redis.url })
    await shop.schedule({ orderId: 'first' })
    process.kill(redis.pid, 'SIGSTOP')
    const took: Promise<number>[] = []
    const call = () => {
      const startedAt = Date.now()
      const ended = () => Date.now() - startedAt
      took.push(shop.schedule({ orderId: `o-${took.length}` }).then(() => Number.NaN, ended))
    }
    try {
      for (let n = 0; n < 500; n++) call() // more than can be under way
      for (let n = 0; n < 30; n++) {
        await nextMoment(100)
        call()
      }
      expect(Math.max(...(await Promise.all(took)))).toBeLessThan(2_000)
    } finally {
      process.kill(redis.pid, 'SIGCONT')
    }
  })

  test.each<[what: string, call: (shop: OrderExpiry, items: { orderId: string }[]) => Promise<unknown>]>([
    ['scheduleMany', (shop, items) => shop.scheduleMany(items)],
    ['schedule', (shop, items) => Promise.allSettled(items.map((item) => shop.schedule(item)))],
  ])('%s sends few orders before there is an answer, and none after it has given up', async (_, call) => {
    const redis = await startRedis()
    closing.push(() => redis.stop())
    const { shop, queueName } = openShop({ redis: redis.url })
    await shop.schedule({ orderId: 'first' })
    const admin = new Redis(redis.url)
    closing.push(() => admin.disconnect())
    const items = Array.from({ length: 10_000 }, (_, n) => ({ orderId: `o-${n}` }))
    process.kill(redis.pid, 'SIGSTOP')
    try {
      await call(shop, items).catch(() => {})
    } finally {
      process.kill(redis.pid, 'SIGCONT')
    }
    await shop.close()
    await eventually('Redis has read what was sent', async () => (await admin.llen('nothing')) === 0)
    const added = (await admin.zcard(`bull:${queueName}:delayed`)) - 1
    expect(added).toBeGreaterThan(0)
    expect(added).toBeLessThanOrEqual(100)
  })

  test('scheduleMany keeps what was written, and gives the orders that are left the error', async () => {
    const redis = await startRedis()
    closing.push(() => redis.stop())
    const { shop, queueName } = openShop({ redis: redis.url })
    const admin = new Redis(redis.url)
    closing.push(() => admin.disconnect())
    await shop.schedule({ orderId: 'first' })
    const items = Array.from({ length: 20_000 }, (_, n) => ({ orderId: `o-${n}` }))
    const call = shop.scheduleMany(items)
    // More than can be under way: the client has read answers.
    while ((await admin.zcard(`bull:${queueName}:delayed`)) < 200);
    process.kill(redis.pid, 'SIGSTOP')
    try {
      const results = (await call).map((one) => ('error' in one ? one.error.code : one.result))
      expect(results[0]).toBe('scheduled')
      expect(results.at(-1)).toBe('REDIS_UNAVAILABLE')
    } finally {
      process.kill(redis.pid, 'SIGCONT')
    }
  })

  test('scheduleMany of 1,000 orders answers within 2 s if Redis is slow, with what was written by then', async () => {
    const target = Number(new URL(redisUrl()).port)
    let delayMs = 0
    const proxy = createServer((client) => {
      const upstream = connect(target, '127.0.0.1')
      client.on('error', () => {}).on('close', () => upstream.destroy())
      upstream.on('error', () => {}).on('close', () => client.destroy())
      client.pipe(upstream)
      upstream.on('data', (answer) => setTimeout(() => client.write(answer), delayMs))
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    closing.push(() => proxy.close())
    const { shop } = openShop({ redis: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}` })
    await shop.schedule({ orderId: 'first' })
    delayMs = 300
    const startedAt = Date.now()
    const results = await shop.scheduleMany(Array.from({ length: 1_000 }, (_, n) => ({ orderId: `o-${n}` })))
    expect(Date.now() - startedAt).toBeLessThan(2_000)
    expect(results[0]).toMatchObject({ result: 'scheduled' })
    expect(results.at(-1)).toMatchObject({ orderId: 'o-999', error: { code: 'REDIS_UNAVAILABLE' } })
  })

  test('works once Redis is there, also where its first answer was lost with the connection', async () => {
    const target = Number(new URL(redisUrl()).port)
    let asked = 0
    const proxy = createServer((client) => {
      const upstream = connect(target, '127.0.0.1')
      client.on('error', () => {}).on('close', () => upstream.destroy())
      upstream.on('error', () => {}).on('close', () => client.destroy())
      client.on('data', (sent) => {
        const before = asked
        asked += sent.toString('latin1').match(/\r\ninfo\r\n/gi)?.length ?? 0
        if (before < 2 && asked >= 2)
          client.destroy() // the first is ioredis', the second one BullMQ's
        else upstream.write(sent)
      })
      upstream.pipe(client)
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    closing.push(() => proxy.close())
    const { shop } = openShop({ redis: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}` })
    await shop.schedule({ orderId: 'a' }).catch(() => {})
    expect(asked).toBeGreaterThanOrEqual(2)
    const { result } = await eventually('it works', () => shop.schedule({ orderId: 'b' }).catch(() => undefined))
    expect(result).toBe('scheduled')
  })

  test('a wrong password is told from an outage, and is not in the message', async () => {
    const redis = await startRedis()
    closing.push(() => redis.stop())
    const admin = new Redis(redis.url)
    await admin.config('SET', 'requirepass', 'right')
    admin.disconnect()
    const { shop } = openShop({ redis: `redis://:wr0ng-secret@127.0.0.1:${redis.port}` })
    const error = await shop.schedule({ orderId: 'a' }).then(
      () => undefined,
      (reason: Error) => reason,
    )
    expect(error).toMatchObject({ code: 'REDIS_REFUSED', retryable: false })
    expect(error?.message).not.toContain('wr0ng-secret')
  })
})

test('Redis that has forgotten its scripts is taught them again', async () => {
  const redis = await startRedis()
  closing.push(() => redis.stop())
  const { shop } = openShop({ redis: redis.url, orders: 'redis' })
  await shop.schedule({ orderId: 'a' })
  const admin = new Redis(redis.url)
  await admin.script('FLUSH')
  admin.disconnect()
  expect(await shop.schedule({ orderId: 'b' })).toMatchObject({ result: 'scheduled' })
  expect((await shop.find('b'))?.check?.state).toBe('waiting')
})

test('a database that does not exist is refused, not replaced by number 0', async () => {
  const { shop } = openShop({ redis: `${redisUrl()}/99` })
  await expect(shop.schedule({ orderId: 'a' })).rejects.toMatchObject({ code: 'REDIS_REFUSED' })
})

test('of clients that replace a finished check at the same moment, one does, and the others are told of its deadline', async () => {
  const { shop, queue, queueName } = openShop()
  const others = Array.from({ length: 4 }, () => new OrderExpiry({ redis: redisUrl(), queueName }))
  closing.push(() => Promise.all(others.map((other) => other.close())))
  const worker = new Worker(queue.name, async () => {}, { connection: { url: redisUrl() } })
  closing.push(() => worker.close())
  const ids = Array.from({ length: 40 }, (_, i) => `o-${i}`)
  await shop.scheduleMany(ids.map((orderId) => ({ orderId, deadline: Date.now() - 1 })))
  await eventually('all are done', async () => (await queue.getCompletedCount()) === ids.length)
  await worker.close()
  for (const orderId of ids) {
    const results = await Promise.all(
      others.map((other, n) => other.schedule({ orderId, deadline: Date.now() + (n + 1) * MINUTE })),
    )
    expect(results.map(({ result }) => result).sort()).toEqual(['conflict', 'conflict', 'conflict', 'scheduled'])
    const deadline = (await queue.getJob(`order-${orderId}`))?.data.deadline
    expect(results.map((result) => result.deadline.getTime())).toEqual(results.map(() => deadline))
  }
})

test('a client of the shop tells where Redis is, and is otherwise left alone', async () => {
  const client = new Redis(`${redisUrl()}/3`)
  const { shop } = openShop({ redis: client })
  expect(await shop.schedule({ orderId: 'a' })).toMatchObject({ result: 'scheduled' })
  expect(await client.keys('bull:client_*order-a')).toHaveLength(1)
  await shop.close()
  expect(client.status).toBe('ready')
  await client.flushdb()
  client.disconnect()
})

test('an order whose job Redis refuses fails alone, beside others of the same moment', async () => {
  const { shop, queue } = openShop()
  const ids = (name: string) => Array.from({ length: 30 }, (_, n) => ({ orderId: `${name}-${n}` }))
  const redis = new Redis(redisUrl())
  closing.push(() => redis.disconnect())
  for (const name of ['single', 'bulk']) await redis.set(queue.toKey(`order-${name}-7`), 'no job')
  const single = await Promise.all(
    ids('single').map((item) =>
      shop.schedule(item).then(
        ({ result }) => result,
        ({ code }) => code,
      ),
    ),
  )
  const bulk = (await shop.scheduleMany(ids('bulk'))).map((one) => ('error' in one ? one.error.code : one.result))
  const expected = ids('').map((_, n) => (n === 7 ? 'REDIS_REFUSED' : 'scheduled'))
  expect(single).toEqual(expected)
  expect(bulk).toEqual(expected)
})

describe('close', () => {
  test('gives the connection back, and later calls say so', async () => {
    const { shop } = openShop()
    await shop.schedule({ orderId: 'a' })
    await shop.close()
    await shop.close()
    await expect(shop.schedule({ orderId: 'b' })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('resolves at once when Redis is away', async () => {
    const { shop } = openShop({ redis: `redis://127.0.0.1:${await freePort()}` })
    const call = shop.schedule({ orderId: 'a' }).catch((error: { code: string }) => error.code)
    await shop.close()
    expect(['CLOSED', 'REDIS_UNAVAILABLE']).toContain(await call)
  })
})

test.each<[what: string, options: object, why?: string]>([
  ['no redis', {}],
  ['no URL', { redis: 'localhost' }],
  ['another protocol', { redis: 'http://localhost:6379' }],
  ['an unknown option', { redis: 'redis://localhost', queue: 'x' }, 'did you mean queueName?'],
  ['the name of a setting', { redis: 'redis://localhost', PAYMENT_TIMEOUT: '15m' }, 'did you mean paymentTimeout?'],
  ['options of ioredis beside ours', { host: 'localhost' }, 'did you mean redis?'],
  ['a queue name that BullMQ forbids', { redis: 'redis://localhost', queueName: 'a:b' }, 'queueName: '],
  [
    'a time-out without a unit',
    { redis: 'redis://localhost', paymentTimeout: '300' },
    'paymentTimeout: expected a dur',
  ],
  ['a time-out over a year', { redis: 'redis://localhost', paymentTimeout: '400d' }, 'paymentTimeout: expected a dur'],
])('the constructor refuses %s', (_, options, why = '') => {
  const refused = { code: 'INVALID_OPTIONS', message: expect.stringContaining(why) }
  expect(() => new OrderExpiry(options as OrderExpiryOptions)).toThrow(expect.objectContaining(refused))
})
