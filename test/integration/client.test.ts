import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as nextMoment } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import { DelayedError, type Job, Queue, UnrecoverableError, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { OrderExpiry, type OrderExpiryOptions } from '../../src/index.ts'
import { MissingChecks } from '../../src/queue/missing-checks.ts'
import { isOwnNote } from '../../src/queue/view/check-notes.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
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
      expect(job?.data).toEqual({ orderId: '1234' })
      expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(deadline)
      const stored = await readHash(queue, 'order-1234')
      expect(Object.keys(stored).sort()).toEqual(['data', 'delay', 'name', 'opts', 'priority', 'timestamp'])
      expect(JSON.parse(stored.data ?? '')).toEqual({ orderId: '1234' })
      expect(JSON.parse(stored.opts ?? '')).toEqual({ delay: job?.delay })
      expect(await queue.getJobCounts()).toMatchObject({ delayed: 1, waiting: 0 })
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

    test('reschedule moves the job, earlier and later', async () => {
      const { shop, queue } = open()
      const deadline = Date.now() + 10 * MINUTE
      await shop.schedule({ orderId: 'a', deadline })
      const client = new Redis(redisUrl())
      closing.push(() => client.disconnect())
      for (const moved of [deadline - 5 * MINUTE, deadline + 5 * MINUTE]) {
        await shop.reschedule({ orderId: 'a', deadline: moved })
        const [job] = await queue.getDelayed()
        expect(job?.data).toEqual({ orderId: 'a', deadline: moved })
        // BullMQ counts the new delay from its own reading of the clock.
        const score = Number(await client.zscore(queue.toKey('delayed'), 'order-a')) / 0x1000
        expect(Math.abs(score - moved)).toBeLessThan(2_000)
      }
      expect(await queue.getDelayedCount()).toBe(1)
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
  })
}

test('a new check for a cancelled order says what the one that it replaces had done', async () => {
  const { shop, queue } = openShop()
  const decidedAt = new Date().toISOString()
  const evidence = { outcome: 'cancelled', status: 'pending', deadline: decidedAt, decidedAt, decidedBy: 'host:1' }
  await shop.schedule({ orderId: 'a', deadline: Date.now() })
  const worker = new Worker(queue.name, async () => evidence, { connection: { url: redisUrl() } })
  closing.push(() => worker.close())
  await eventually('it is cancelled', async () => (await queue.getCompletedCount()) === 1)
  await worker.close()
  // The shop may have opened the order again: nobody but its row knows.
  expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toMatchObject({ result: 'scheduled' })
  const { logs } = await queue.getJobLogs('order-a')
  expect(logs).toEqual([expect.stringMatching(`^\\S+Z replaces a check that cancelled the order at ${decidedAt}$`)])
  expect(logs.every(isOwnNote)).toBe(true)
  expect(await shop.reschedule({ orderId: 'a', deadline: '1h' })).toMatchObject({ result: 'rescheduled' })
  expect((await queue.getJobLogs('order-a')).logs).toHaveLength(2)
})

describe('the deadline of an order is known to the millisecond', () => {
  const begin = async () => {
    const { shop, queue } = openShop()
    const { deadline } = await shop.schedule({ orderId: 'a', deadline: '1h' })
    const job = (await queue.getJob('order-a')) as Job
    return { shop, queue, job, deadline }
  }

  test.each<[what: string, happen: (job: Job, queue: Queue) => Promise<unknown>]>([
    ['is waiting', async () => {}],
    ['has been promoted', (job) => job.promote()],
    ['comes at another time', (job) => job.changeDelay(5 * MINUTE)],
    ['was put back by a worker', putBack],
    ['has failed, and was replayed', failAndRetry],
    ['has cancelled the order', (_, queue) => work(queue, async () => CANCELLED)],
    [
      'was placed by an earlier version',
      (job) => job.updateData({ orderId: 'a', deadline: job.timestamp + 60 * MINUTE }),
    ],
  ])('while its check %s', async (_, happen) => {
    const { shop, queue, job, deadline } = await begin()
    await happen(job, queue)
    expect((await shop.find('a'))?.check?.deadline).toEqual(deadline)
    expect(await shop.schedule({ orderId: 'a', deadline })).toMatchObject({ result: 'unchanged', deadline })
  })

  test('when it has been moved, and moved back', async () => {
    const { shop, queue, deadline } = await begin()
    const later = new Date(deadline.getTime() + MINUTE)
    const dataNow = async () => ((await queue.getJob('order-a')) as Job).data
    expect(await shop.reschedule({ orderId: 'a', deadline })).toMatchObject({ result: 'unchanged' })
    expect(await dataNow()).toEqual({ orderId: 'a' })
    for (const moved of [later, deadline]) {
      expect(await shop.reschedule({ orderId: 'a', deadline: moved })).toMatchObject({ result: 'rescheduled' })
      expect(await dataNow()).toEqual({ orderId: 'a', deadline: moved.getTime() })
      expect((await shop.find('a'))?.check?.deadline).toEqual(moved)
      expect(await shop.schedule({ orderId: 'a', deadline: moved })).toMatchObject({ result: 'unchanged' })
    }
  })

  test('of a job that does not say it, once it is rescheduled, even to when it was added', async () => {
    const { shop, queue } = openShop()
    const job = await queue.add('check-payment', { orderId: 'a' }, { jobId: 'order-a' })
    const deadline = new Date(job.timestamp)
    expect((await shop.find('a'))?.check?.deadline).toBeUndefined()
    expect(await shop.reschedule({ orderId: 'a', deadline })).toMatchObject({ result: 'rescheduled' })
    expect((await shop.find('a'))?.check?.deadline).toEqual(deadline)
    const { logs } = await queue.getJobLogs('order-a')
    expect(logs).toEqual([expect.stringContaining(`deadline moved to ${deadline.toISOString()}`)])
    expect(logs.every(isOwnNote)).toBe(true)
  })
})

describe('orders recorded here', () => {
  test('an order that is recorded without a check gets one, for the deadline on record', async () => {
    const { shop, queue, queueName } = openShop({ orders: 'redis' })
    const redis = new Redis(redisUrl())
    const placedAt = Date.now()
    const deadline = placedAt + MINUTE
    const order = { orderId: 'a', deadline, placedAt }
    await new RedisOrders({ redis, queue: namedQueue({ name: queueName }) }).record([order])
    redis.disconnect()
    expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toMatchObject({
      result: 'conflict',
      deadline: new Date(deadline),
    })
    const [job] = await queue.getDelayed()
    expect((job?.timestamp ?? 0) + (job?.delay ?? 0)).toBe(deadline)
  })

  describe('the same time-out again is unchanged, another one a conflict, whatever has become of the check:', () => {
    const lose = async ({ queue }: ReturnType<typeof openShop>) => {
      expect(await queue.remove('order-a')).toBe(1)
    }
    const sweep = async ({ queueName, records }: ReturnType<typeof openShop> & { records: RedisOrders }) => {
      const queue = namedQueue({ name: queueName })
      const missing = new MissingChecks({ redis: redisUrl(), queue, clock: systemClock })
      closing.push(() => missing.close())
      const due = await records.unpaidDueBefore(Date.now() + 60 * MINUTE, undefined, 10)
      expect(await missing.add(due, { dryRun: false })).toBe(1)
    }
    test.each<[what: string, happen: (given: Parameters<typeof sweep>[0] & { redis: Redis }) => Promise<unknown>]>([
      ['it was never added, since the connection was lost', lose],
      ['a sweep has added it', (given) => lose(given).then(() => sweep(given))],
      ['its order is cancelled', ({ records }) => records.cancelUnpaid([{ orderId: 'a', deadline: 0 }])],
      [
        'an earlier version has recorded the order',
        ({ redis, queueName }) => redis.hdel(`{bull:${queueName}}:order:a`, 'placed_at'),
      ],
    ])('%s', async (_, happen) => {
      const opened = openShop({ orders: 'redis' })
      const redis = new Redis(redisUrl())
      closing.push(() => redis.disconnect())
      const records = new RedisOrders({ redis, queue: namedQueue({ name: opened.queueName }) })
      const { shop } = opened
      const { deadline } = await shop.schedule({ orderId: 'a', deadline: '15m' })
      const startedAt = Date.now()
      await eventually('time has passed', () => Date.now() > startedAt)
      await happen({ ...opened, records, redis })
      expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toMatchObject({ result: 'unchanged', deadline })
      expect(await shop.schedule({ orderId: 'a', deadline: '16m' })).toMatchObject({ result: 'conflict', deadline })
      expect((await shop.find('a'))?.check?.deadline).toEqual(deadline)
    })

    test('a record that was moved while its check was not counts', async () => {
      const { shop, queueName } = openShop({ orders: 'redis' })
      const { deadline } = await shop.schedule({ orderId: 'a', deadline: '15m' })
      const redis = new Redis(redisUrl())
      closing.push(() => redis.disconnect())
      const moved = new Date(deadline.getTime() + MINUTE)
      await new RedisOrders({ redis, queue: namedQueue({ name: queueName }) }).move('a', moved.getTime())
      for (const [again, result] of [
        ['15m', 'conflict'],
        [deadline, 'conflict'],
        [moved, 'unchanged'],
      ] as const) {
        expect(await shop.schedule({ orderId: 'a', deadline: again })).toMatchObject({ result, deadline: moved })
      }
    })
  })

  test('a record stays in the compact encoding of Redis', async () => {
    const { shop, queueName } = openShop({ orders: 'redis' })
    await shop.schedule({ orderId: 'a' })
    await shop.pay('a')
    const redis = new Redis(redisUrl())
    closing.push(() => redis.disconnect())
    expect(await redis.object('ENCODING', `{bull:${queueName}}:order:a`)).toMatch(/^(listpack|ziplist)$/)
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
    expect(added).toBeLessThanOrEqual(200)
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
    const job = await queue.getJob(`order-${orderId}`)
    const deadline = (job?.timestamp ?? 0) + (job?.opts.delay ?? 0)
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

const CANCELLED = {
  outcome: 'cancelled',
  deadline: '2026-11-23T02:21:15.705Z',
  decidedAt: '2026-11-23T02:21:15.807Z',
  decidedBy: 'test:1',
}

/** Has a worker of BullMQ take the next job, and resolves once that has left it. */
async function work(queue: Queue, processor: ConstructorParameters<typeof Worker>[1]): Promise<void> {
  await ((await queue.getDelayed())[0] as Job).promote()
  const worker = new Worker(queue.name, processor, { connection: { url: redisUrl() } })
  await eventually('it has been taken', async () => {
    const { delayed, waiting, active, completed, failed } = await queue.getJobCounts()
    return !waiting && !active && (delayed || completed || failed)
  })
  await worker.close()
}

function putBack(_: Job, queue: Queue): Promise<void> {
  return work(queue, async (job, token) => {
    await job.moveToDelayed(Date.now() + 10 * MINUTE, token)
    throw new DelayedError()
  })
}

async function failAndRetry(_: Job, queue: Queue): Promise<void> {
  await work(queue, async () => {
    throw new UnrecoverableError('no')
  })
  await ((await queue.getFailed())[0] as Job).retry()
}
