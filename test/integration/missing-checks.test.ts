import { describe, expect, test } from '@jest/globals'
import { type Job, Worker } from 'bullmq'
import { jobIdOf } from '../../src/queue/contract.ts'
import { MissingChecks } from '../../src/queue/missing-checks.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { startRedis } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const HOUR = 3_600_000

function open(url = redisUrl()): { raw: RawQueue; checks: MissingChecks } {
  const raw = new RawQueue(url)
  const checks = new MissingChecks({ redis: url, queue: namedQueue({ name: raw.name }), clock: systemClock })
  closing.push(
    () => raw.close(),
    () => checks.close(),
  )
  return { raw, checks }
}

const add = (checks: MissingChecks, ...orders: { orderId: string; deadline: number }[]) =>
  checks.add(orders, { dryRun: false })

/** When a job is due, as Redis has it: BullMQ's score is the time in milliseconds, times 4,096. */
async function dueAt(raw: RawQueue, orderId: string): Promise<number> {
  return Math.floor(Number(await raw.redis.zscore(raw.queue.toKey('delayed'), jobIdOf(orderId))) / 0x1000)
}

async function jobOf(raw: RawQueue, orderId: string): Promise<Job> {
  const job = (await raw.queue.getJob(jobIdOf(orderId))) as Job | undefined
  if (!job) throw new Error(`no job of ${orderId}`)
  return job
}

test('an order whose job was lost, or that never had one, gets one at its deadline', async () => {
  const { raw, checks } = open()
  const deadline = Date.now() + HOUR
  expect(await add(checks, { orderId: '1234', deadline }, { orderId: 'a:b', deadline })).toBe(2)
  for (const orderId of ['1234', 'a:b']) {
    expect(await dueAt(raw, orderId)).toBe(deadline)
    expect((await jobOf(raw, orderId)).data).toEqual({ orderId, by: 'sweep' })
  }
  await (await jobOf(raw, '1234')).remove()
  expect(await add(checks, { orderId: '1234', deadline }, { orderId: 'a:b', deadline })).toBe(1)
  expect(await dueAt(raw, '1234')).toBe(deadline)
})

test('where something else stands under the name of a job, the other orders get theirs', async () => {
  const { raw, checks } = open()
  const deadline = Date.now() + HOUR
  await raw.redis.set(raw.queue.toKey(jobIdOf('1')), 'no job')
  expect(await add(checks, { orderId: '1', deadline }, { orderId: '2', deadline })).toBe(1)
  expect(await dueAt(raw, '2')).toBe(deadline)
})

test('a deadline finer than a millisecond is due with the next one, and is not moved the next time', async () => {
  const { raw, checks } = open()
  const deadline = Date.now() + HOUR + 0.25
  expect(await add(checks, { orderId: '1', deadline })).toBe(1)
  expect(await dueAt(raw, '1')).toBe(Math.ceil(deadline))
  expect(await add(checks, { orderId: '1', deadline })).toBe(0)
})

test('an order that is due already gets a job that runs at once', async () => {
  const { raw, checks } = open()
  expect(await add(checks, { orderId: '1', deadline: Date.now() - 1_000 })).toBe(1)
  expect(await raw.queue.getJobState(jobIdOf('1'))).toBe('waiting')
})

test.each(['completed', 'failed'] as const)('a job that is %s is replaced: its order is unpaid again', async (end) => {
  const { raw, checks } = open()
  await raw.queue.add('check-payment', { orderId: '1' }, { jobId: jobIdOf('1') })
  const worker = new Worker(
    raw.name,
    async () => {
      if (end === 'failed') throw new Error('no')
    },
    { connection: raw.redis },
  )
  await new Promise((resolve) => worker.on(end, resolve))
  await worker.close()
  const deadline = Date.now() + HOUR
  expect(await checks.add([{ orderId: '1', deadline }], { dryRun: true })).toBe(1)
  expect(await raw.queue.getJobState(jobIdOf('1'))).toBe(end)
  expect(await add(checks, { orderId: '1', deadline })).toBe(1)
  expect([await raw.queue.getJobState(jobIdOf('1')), await dueAt(raw, '1')]).toEqual(['delayed', deadline])
})

describe('a job that is there', () => {
  const place = (raw: RawQueue, deadline: unknown, delay = HOUR) =>
    raw.queue.add('check-payment', { orderId: '1', deadline, mine: true }, { jobId: jobIdOf('1'), delay })

  test('is moved where it is later than the deadline of the row', async () => {
    const { raw, checks } = open()
    const deadline = Date.now() + HOUR
    await place(raw, deadline + HOUR, 2 * HOUR)
    expect(await checks.add([{ orderId: '1', deadline }], { dryRun: true })).toBe(1)
    expect(await dueAt(raw, '1')).toBeGreaterThan(deadline)
    expect(await add(checks, { orderId: '1', deadline })).toBe(1)
    expect(Math.abs((await dueAt(raw, '1')) - deadline)).toBeLessThan(50) // BullMQ counts from its own now
    expect((await jobOf(raw, '1')).data).toMatchObject({ deadline })
    expect(await add(checks, { orderId: '1', deadline })).toBe(0)
  })

  test.each<[what: string, offset: number]>([
    ['at the deadline', 0],
    ['before it: its check comes, and waits', -1_000],
  ])('is left alone %s', async (_, offset) => {
    const { raw, checks } = open()
    const deadline = Date.now() + HOUR
    await place(raw, deadline + offset)
    const before = await raw.redis.hgetall(raw.queue.toKey(jobIdOf('1')))
    const dueBefore = await dueAt(raw, '1')
    expect(await add(checks, { orderId: '1', deadline })).toBe(0)
    expect(await raw.redis.hgetall(raw.queue.toKey(jobIdOf('1')))).toEqual(before)
    expect(await dueAt(raw, '1')).toBe(dueBefore)
  })

  test.each<[what: string, deadline: unknown]>([
    ['no deadline', undefined],
    ['a deadline as text', '2030-01-01T00:00:00Z'],
    ['nonsense for a deadline', { x: 1 }],
    ['the deadline of the row, from which it was postponed', 'same'],
  ])('is moved by when it will run, not by what it says: %s', async (_, says) => {
    const { raw, checks } = open()
    const deadline = Date.now() + HOUR / 2
    await place(raw, says === 'same' ? deadline : says)
    expect(await add(checks, { orderId: '1', deadline })).toBe(1)
    expect(Math.abs((await dueAt(raw, '1')) - deadline)).toBeLessThan(50)
    expect((await jobOf(raw, '1')).data).toMatchObject({ orderId: '1', deadline, mine: true })
    expect(await add(checks, { orderId: '1', deadline })).toBe(0)
  })

  test('is left alone where it says a later deadline, but runs in time', async () => {
    const { raw, checks } = open()
    const deadline = Date.now() + HOUR
    await place(raw, deadline + HOUR, HOUR - 1_000)
    expect(await add(checks, { orderId: '1', deadline })).toBe(0)
  })

  test('is left alone while it waits to be looked at, and where it was postponed when its time had come', async () => {
    const { raw, checks } = open()
    await place(raw, Date.now() + HOUR, 0)
    expect(await add(checks, { orderId: '1', deadline: Date.now() + 60_000 })).toBe(0)
    await raw.queue.add('check-payment', { orderId: '2' }, { jobId: jobIdOf('2'), delay: 60_000 })
    expect(await add(checks, { orderId: '2', deadline: Date.now() - 1_000 })).toBe(0)
  })

  test.each(['{', 'null', '7'])('is left alone where its data is %s', async (data) => {
    const { raw, checks } = open()
    await place(raw, Date.now() + HOUR)
    await raw.redis.hset(raw.queue.toKey(jobIdOf('1')), 'data', data)
    expect(await add(checks, { orderId: '1', deadline: Date.now() + HOUR / 2 })).toBe(0)
  })
})

test('an order that is cancelled after the sweep has read it as pending keeps the evidence, until its deadline is another', async () => {
  const { raw, checks } = open()
  const deadline = Date.now() - 1_000
  await add(checks, { orderId: '1', deadline })
  const evidence = { outcome: 'cancelled', status: 'pending', decidedAt: new Date().toISOString() }
  const worker = new Worker(raw.name, async () => evidence, { connection: raw.redis })
  closing.push(() => worker.close())
  await new Promise((resolve) => worker.once('completed', resolve))
  await worker.close()

  expect(await add(checks, { orderId: '1', deadline })).toBe(0)
  expect((await jobOf(raw, '1')).returnvalue).toEqual(evidence)
  expect(await add(checks, { orderId: '1', deadline: Date.now() + HOUR })).toBe(1)
  expect((await jobOf(raw, '1')).returnvalue).toBeNull()
})

test('a dry run only counts', async () => {
  const { raw, checks } = open()
  const orders = Array.from({ length: 600 }, (_, n) => ({ orderId: `${n}`, deadline: Date.now() + HOUR }))
  expect(await checks.add(orders, { dryRun: true })).toBe(600)
  expect(await raw.queue.getDelayedCount()).toBe(0)
})

test('5,000 orders, half of which have a job; then all have one, and nothing is left to do', async () => {
  const { raw, checks } = open()
  const orders = Array.from({ length: 5_000 }, (_, n) => ({ orderId: `${n}`, deadline: Date.now() + HOUR + n }))
  expect(
    await checks.add(
      orders.filter((_, n) => n % 2 === 0),
      { dryRun: false },
    ),
  ).toBe(2_500)
  expect(await checks.add(orders, { dryRun: false })).toBe(2_500)
  expect(await raw.queue.getDelayedCount()).toBe(5_000)
  expect(await checks.add(orders, { dryRun: false })).toBe(0)
})

test('two processes that add the same orders at the same time add each once', async () => {
  const { raw, checks } = open()
  const other = new MissingChecks({ redis: redisUrl(), queue: namedQueue({ name: raw.name }), clock: systemClock })
  closing.push(() => other.close())
  const orders = Array.from({ length: 1_000 }, (_, n) => ({ orderId: `${n}`, deadline: Date.now() + HOUR }))
  await Promise.all([checks.add(orders, { dryRun: false }), other.add(orders, { dryRun: false })])
  expect(await raw.queue.getDelayedCount()).toBe(1_000)
})

describe('while Redis is away', () => {
  const order = { orderId: '1', deadline: Date.now() + HOUR }

  test('it rejects soon, with REDIS_UNAVAILABLE, and works again once Redis is back', async () => {
    const proxy = await TcpProxy.to(redisUrl())
    closing.push(() => proxy.close())
    const { checks } = open(proxy.urlOf(redisUrl()))
    proxy.cut()
    const startedAt = Date.now()
    await expect(add(checks, order)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE', retryable: true })
    await expect(add(checks, order)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(Date.now() - startedAt).toBeLessThan(15_000)
    proxy.heal()
    await expect(add(checks, order)).resolves.toBe(1)
    proxy.cut()
    await expect(add(checks, order)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    proxy.heal()
    await expect(add(checks, order)).resolves.toBe(0)
  })

  test('and does not even say so, it rejects within its time-outs', async () => {
    const server = await startRedis()
    closing.push(() => server.stop())
    const { checks } = open(server.url)
    await add(checks, order)
    process.kill(server.pid, 'SIGSTOP')
    try {
      const startedAt = Date.now()
      await expect(add(checks, order)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      expect(Date.now() - startedAt).toBeLessThan(22_000)
    } finally {
      process.kill(server.pid, 'SIGCONT')
    }
    await expect(add(checks, order)).resolves.toBe(0)
  })
})
