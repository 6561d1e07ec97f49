import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { OrderExpiryError } from '../../src/errors.ts'
import { OrderExpiry } from '../../src/index.ts'
import { EventBus } from '../../src/observe/events.ts'
import type { Settle, Settlement } from '../../src/order/settle.ts'
import { dueAtOf } from '../../src/queue/due-score.ts'
import { makePostponedDue } from '../../src/queue/postponed-checks.ts'
import { createWorkerService } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { timeOf } from '../../src/redis/time.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { RemoteClock } from '../../src/runtime/remote-clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const MINUTE = 60_000
const AHEAD = 10 * MINUTE
const BEHIND = -10 * MINUTE

const rightNow = Date.now.bind(Date)
let raw: RawQueue

/** Sets the clock of the worker, which is that of this process. */
function setClock(aheadMs: number): void {
  jest.spyOn(Date, 'now').mockImplementation(() => rightNow() + aheadMs)
}

beforeEach(() => {
  raw = new RawQueue()
  closing.push(() => raw.close())
})
afterEach(() => {
  jest.restoreAllMocks()
})

/** @returns when each check of an order was settled, by the right clock */
async function startWorker(
  settleOne: (orderId: string, round: number) => Settlement | Promise<Settlement>,
): Promise<(orderId: string) => number[]> {
  const settledAt = new Map<string, number[]>()
  const timesOf = (orderId: string) => settledAt.get(orderId) ?? []
  const settle: Settle = (checks) =>
    Promise.all(
      checks.map(({ orderId }) => {
        settledAt.set(orderId, [...timesOf(orderId), rightNow()])
        return settleOne(orderId, timesOf(orderId).length)
      }),
    )
  const redis = new Redis(redisUrl())
  const clock = new RemoteClock({ clock: systemClock })
  await clock.ask(() => timeOf(redis))
  const worker = createWorkerService({
    redis: redisUrl(),
    queue: namedQueue({ name: raw.name }),
    concurrency: 10,
    batchSize: 1,
    maxBatches: 10,
    maxAttempts: 3,
    paymentTimeoutMs: 5 * MINUTE,
    settle,
    decidedBy: 'test:1',
    heartbeat: new Heartbeat({ name: 'worker', clock }),
    isRedisAway: () => false,
    ring: () => redis.ping(),
    events: new EventBus(),
    clock,
  })
  closing.push(async () => {
    await worker.stop()
    redis.disconnect()
  })
  await worker.start(new AbortController().signal)
  return timesOf
}

const evidence = () => ({ decidedAt: rightNow() })
const cancelled = (): Settlement => ({ kind: 'cancelled', at: rightNow(), evidence: evidence() })
const postponed = (reason: 'not-due' | 'locked' | 'brake', ms: number): Settlement => {
  const { decidedAt } = evidence()
  return { kind: 'postponed', until: decidedAt + ms, reason, evidence: { decidedAt } }
}
const failed = (code: 'STORE_REJECTED' | 'STORE_BUSY'): Settlement => ({
  kind: 'failed',
  error: new OrderExpiryError(code, 'no'),
})

/** What may keep a check from its end when it is first looked at. */
const POSTPONEMENTS: Readonly<Record<string, () => Settlement>> = {
  'not-due': () => postponed('not-due', 600),
  locked: () => postponed('locked', 600),
  brake: () => postponed('brake', 600),
  'busy-store': () => failed('STORE_BUSY'),
  rejected: () => failed('STORE_REJECTED'),
}

/** Adds a check, as a shop does whose clock is right. */
const add = (orderId: string, delay: number) => {
  const timestamp = rightNow()
  const options = { jobId: `order-${orderId}`, delay, timestamp }
  return raw.queue.add('check-payment', { orderId, deadline: timestamp + delay }, options)
}
const dueAt = async (orderId: string) =>
  dueAtOf(Number(await raw.redis.zscore(raw.queue.toKey('delayed'), `order-${orderId}`)))
const toBe = (what: string, isSo: () => boolean | Promise<boolean>) =>
  eventually(what, async () => ((await isSo()) ? true : undefined))

describe.each([
  ['ahead, then set right', AHEAD, 0],
  ['behind, then set right', BEHIND, 0],
  ['right, then ahead', 0, AHEAD],
  ['ahead for good', AHEAD, AHEAD],
  ['behind for good', BEHIND, BEHIND],
])('a worker whose clock is 10 min %s', (_, atFirst, later) => {
  test('looks again in time at every check that it has postponed', async () => {
    setClock(atFirst)
    const timesOf = await startWorker((orderId, round) =>
      round === 1 ? (POSTPONEMENTS[orderId]?.() ?? cancelled()) : cancelled(),
    )
    const orders = Object.keys(POSTPONEMENTS)
    for (const orderId of orders) await add(orderId, 0)
    await toBe('each is looked at', () => orders.every((orderId) => timesOf(orderId).length === 1))
    await toBe('none is under way', async () => (await raw.queue.getActiveCount()) === 0)
    setClock(later)
    await toBe('each is looked at again', () => orders.every((orderId) => timesOf(orderId).length === 2))
    for (const orderId of orders) {
      const [first = 0, again = 0] = timesOf(orderId)
      expect(again - first).toBeGreaterThan(200)
      expect(again - first).toBeLessThan(3_000)
    }
  })

  test('begins checks when they are due, neither early nor late', async () => {
    setClock(atFirst)
    const timesOf = await startWorker(cancelled)
    const { timestamp } = await add('a', 800)
    setClock(later)
    await toBe('it is looked at', () => timesOf('a').length === 1)
    const lateMs = (timesOf('a')[0] as number) - timestamp - 800
    expect(lateMs).toBeGreaterThanOrEqual(-10)
    expect(lateMs).toBeLessThan(1_000)
  })

  test('follows a new deadline that came while the check was under way', async () => {
    setClock(atFirst)
    const deadline = rightNow() + MINUTE
    await startWorker(async (orderId) => {
      const job = await raw.queue.getJob(`order-${orderId}`)
      await job?.updateData({ orderId, deadline })
      return postponed('brake', 2_000)
    })
    await add('a', 0)
    setClock(later)
    await toBe('it waits for its new deadline', async () => Math.abs((await dueAt('a')) - deadline) < 500)
  })
})

test('a check that was postponed before the clock of Redis was set back comes at once, and no other', async () => {
  const lookedAt: string[] = []
  await startWorker((orderId) => {
    lookedAt.push(orderId)
    return lookedAt.length === 1 ? postponed('brake', 9 * MINUTE) : cancelled() // too late: by a wrong clock
  })
  await add('postponed', 0)
  await toBe('it is postponed', async () => (await dueAt('postponed')) > rightNow())
  await Promise.all(Array.from({ length: 1_500 }, (_, n) => add(`${n}`, 5 * MINUTE)))
  await makePostponedDue({ redis: raw.redis, keys: namedQueue({ name: raw.name }).keys, withinMs: AHEAD })
  await toBe('it is looked at again', () => lookedAt.length > 1)
  expect(lookedAt).toEqual(['postponed', 'postponed'])
  expect(await raw.queue.getDelayedCount()).toBe(1_500)
})

test('a worker whose clock is behind renews the lock of a long check', async () => {
  setClock(BEHIND)
  const timesOf = await startWorker(async () => {
    await systemClock.sleep(12_000) // two looks for locks to renew, while the first one would still hold
    return cancelled()
  })
  await add('a', 0)
  await toBe('it is looked at', () => timesOf('a').length === 1)
  const leftMs = () => raw.redis.pttl(namedQueue({ name: raw.name }).keys.jobLock('order-a'))
  await toBe('it runs down', async () => (await leftMs()) < 12_000)
  await toBe('it is renewed', async () => (await leftMs()) > 14_000)
}, 30_000)

test('a worker whose clock is ahead does not ask Redis without a pause until a check is due', async () => {
  setClock(AHEAD)
  const timesOf = await startWorker(cancelled)
  await add('a', MINUTE)
  const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await raw.redis.info('commandstats'))?.[1] ?? 0)
  const before = await calls()
  await systemClock.sleep(500)
  expect((await calls()) - before).toBeLessThan(200)
  expect(timesOf('a')).toEqual([])
})

test.each([
  ['due by its clock only', MINUTE],
  ['due', -1_000],
])('a shop whose clock is ahead moves a check to a deadline that is %s: it does not come late', async (_, inMs) => {
  await add('a', 5 * MINUTE)
  setClock(AHEAD)
  const client = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
  closing.push(() => client.close())
  const deadline = rightNow() + inMs
  await client.reschedule({ orderId: 'a', deadline, allowPast: true })
  const isWaiting = (await raw.queue.getJobState('order-a')) === 'waiting'
  expect(isWaiting || (await dueAt('a')) <= deadline).toBe(true)
})
