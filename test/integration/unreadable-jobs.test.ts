import { describe, expect, test } from '@jest/globals'
import { EventBus } from '../../src/observe/events.ts'
import type { Check } from '../../src/order/order.ts'
import { createSettle } from '../../src/order/settle.ts'
import { createWorkerService, type WorkerOptions, type WorkerService } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { RecordingStore } from '../unit/order/recording-store.ts'

/** What is stored for a job that BullMQ cannot make a job of. */
const UNREADABLE: [string, Record<string, string>, RegExp][] = [
  ['data that are no JSON', { data: '{"orderId": "1", "email": "a@b.example"' }, /data: expected JSON/],
  ['data that are no object', { data: 'null' }, /data: expected object, given null|expected object/],
  ['options that are no JSON', { opts: '{"delay":' }, /opts: expected a JSON object/],
  ['options that are null', { opts: 'null' }, /opts: expected a JSON object/],
  ['a parent that is no JSON', { parent: 'nobody' }, /parent: expected a JSON object/],
  ['a parent that is null', { parent: 'null' }, /parent: expected a JSON object/],
  ['several of them', { data: 'x', opts: 'x', parent: '5', stc: 'x' }, /expected a JSON object/],
]
/** What is none of a check's business. */
const HARMLESS: [string, Record<string, string>][] = [
  ['a count of starts that is no number', { ats: 'many' }],
  ['a count of failures that is no number', { atm: 'many' }],
  ['a count of stalls that is no number', { stc: 'many' }],
  ['progress that is no JSON', { progress: 'half' }],
  ['the id of another job', { id: 'job-2' }],
  ['a stack that is no JSON', { stacktrace: 'x', returnvalue: 'x', failedReason: '{', finishedOn: 'x', delay: 'x' }],
  ['a scheduler that does not exist', { rjk: 'nightly' }],
  ['an old repetition', { rjk: 'check-payment:1:2:UTC:* * * * *' }],
]

interface Shop {
  raw: RawQueue
  store: RecordingStore
  events: EventBus
  givenUp: { jobId: string; code: string }[]
  start: (overrides?: Partial<WorkerOptions>) => Promise<WorkerService>
  /** Adds a job of an order that is due, and edits its hash. */
  add: (jobId: string, fields?: Record<string, string>) => Promise<void>
  key: (jobId: string) => string
}

function openShop(claims: 'auto' | 'wrapped'): Shop {
  const raw = new RawQueue()
  const store = new RecordingStore()
  store.clock.now = Date.now()
  const events = new EventBus()
  const givenUp: Shop['givenUp'] = []
  events.on('check-given-up', ({ jobId, error }) => givenUp.push({ jobId, code: error.code }))
  closing.push(() => raw.close())
  const { job: key } = namedQueue({ name: raw.name }).keys
  return {
    raw,
    store,
    events,
    givenUp,
    key,
    async add(jobId, fields = {}) {
      const [{ orderId, deadline }] = store.placeMany(1, store.clock.now - 1_000) as [Check]
      await raw.queue.add('check-payment', { orderId, deadline }, { jobId })
      if (Object.keys(fields).length > 0) await raw.redis.hset(key(jobId), fields)
    },
    async start(overrides = {}) {
      const worker = createWorkerService({
        redis: redisUrl(),
        queue: namedQueue({ name: raw.name }),
        claims,
        concurrency: 50,
        batchSize: 25,
        maxBatches: 2,
        maxAttempts: 3,
        paymentTimeoutMs: 300_000,
        settle: createSettle({ store, clock: systemClock }),
        decidedBy: 'test:1',
        heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
        isRedisAway: () => false,
        ring: async () => {},
        events,
        clock: systemClock,
        ...overrides,
      })
      closing.push(() => worker.stop())
      await worker.start(new AbortController().signal)
      return worker
    },
  }
}

const untilIdle = ({ raw }: Shop) =>
  eventually('nothing is left to do', async () => {
    const counts = await raw.queue.getJobCounts('wait', 'active', 'delayed', 'prioritized')
    return Object.values(counts).every((count) => count === 0) ? true : undefined
  })

async function expectFailedOnce({ raw, givenUp, key }: Shop, jobId: string, why: RegExp): Promise<void> {
  expect(await raw.redis.zscore(namedQueue({ name: raw.name }).keys.failed, jobId)).not.toBeNull()
  const reason = await raw.redis.hget(key(jobId), 'failedReason')
  expect(reason).toMatch(/^INVALID_JOB: /)
  expect(reason).toMatch(why)
  expect(reason).not.toContain('a@b.example')
  expect(givenUp.filter((one) => one.jobId === jobId)).toEqual([{ jobId, code: 'INVALID_JOB' }])
}

describe.each(['auto', 'wrapped'] as const)('with claims %s:', (claims) => {
  describe.each(UNREADABLE)('a job with %s', (_, fields, why) => {
    test('fails once, and the jobs before and behind it are checked', async () => {
      const shop = openShop(claims)
      await shop.add('before')
      await shop.add('bad', fields)
      await shop.add('behind')
      await shop.start()
      await untilIdle(shop)
      await expectFailedOnce(shop, 'bad', why)
      expect(shop.store.count('cancelled')).toBe(2)
    })

    test('fails once if it comes in reply to the end of another', async () => {
      const shop = openShop(claims)
      for (let n = 0; n < 4; n++) await shop.add(`good-${n}`)
      await shop.add('bad', fields)
      await shop.add('last')
      await shop.start({ concurrency: 1 })
      await untilIdle(shop)
      await expectFailedOnce(shop, 'bad', why)
      expect(shop.store.count('cancelled')).toBe(5)
    })

    test('fails once if it was left active by a worker that is gone', async () => {
      const shop = openShop(claims)
      await shop.add('bad', fields)
      const { wait, active } = namedQueue({ name: shop.raw.name }).keys
      await shop.raw.redis.rpoplpush(wait, active)
      await shop.raw.redis.sadd(`bull:${shop.raw.name}:stalled`, 'bad')
      await shop.start()
      await untilIdle(shop)
      await expectFailedOnce(shop, 'bad', why)
    })
  })

  test('one in eight of a burst, and the worker loses none of its places', async () => {
    const shop = openShop(claims)
    for (let n = 0; n < 400; n++) {
      await shop.add(`job-${n}`, n % 8 === 0 ? UNREADABLE[(n / 8) % UNREADABLE.length]?.[1] : {})
    }
    await shop.start({ concurrency: 8 })
    await untilIdle(shop)
    expect([shop.givenUp.length, shop.store.count('cancelled')]).toEqual([50, 350])
    expect(new Set(shop.givenUp.map(({ jobId }) => jobId)).size).toBe(50)
    await shop.add('later')
    await untilIdle(shop)
    expect(shop.store.count('cancelled')).toBe(351)
  })

  test('a delayed one fails when it is due', async () => {
    const shop = openShop(claims)
    await shop.raw.queue.add('check-payment', {}, { jobId: 'bad', delay: 300 })
    await shop.raw.redis.hset(shop.key('bad'), { data: '{' })
    await shop.start()
    await untilIdle(shop)
    await expectFailedOnce(shop, 'bad', /data: expected JSON/)
  })

  test('put back, it fails again; corrected and put back, it is checked', async () => {
    const shop = openShop(claims)
    await shop.add('bad', { opts: 'x' })
    await shop.start()
    await untilIdle(shop)
    await shop.raw.redis.hset(shop.key('bad'), { opts: '{}' })
    const job = await shop.raw.queue.getJob('bad')
    await job?.retry('failed')
    await untilIdle(shop)
    expect(shop.store.count('cancelled')).toBe(1)
    expect(await shop.raw.queue.getJobState('bad')).toBe('completed')
  })

  test.each(HARMLESS)('%s does not keep a job from being checked', async (_, fields) => {
    const shop = openShop(claims)
    await shop.add('job-1', fields)
    await shop.add('job-2')
    await shop.start({ concurrency: 1 })
    await untilIdle(shop)
    expect([shop.store.count('cancelled'), shop.givenUp]).toEqual([2, []])
    expect(await shop.raw.queue.getCompletedCount()).toBe(2)
  })

  test('a job of which nothing is left fails once', async () => {
    const shop = openShop(claims)
    await shop.add('good')
    await shop.raw.redis.lpush(namedQueue({ name: shop.raw.name }).keys.wait, 'bad')
    await shop.start()
    await untilIdle(shop)
    await expectFailedOnce(shop, 'bad', /no longer has what was on it/)
  })

  test('another key in the place of a job is told of, leaves the queue, and holds up nobody', async () => {
    const shop = openShop(claims)
    for (let n = 0; n < 4; n++) await shop.add(`good-${n}`)
    await shop.raw.redis.lpush(namedQueue({ name: shop.raw.name }).keys.wait, 'bad')
    await shop.raw.redis.set(shop.key('bad'), 'x')
    await shop.add('behind')
    await shop.start({ concurrency: 1 })
    await untilIdle(shop)
    expect([shop.store.count('cancelled'), shop.givenUp]).toEqual([5, [{ jobId: 'bad', code: 'INVALID_JOB' }]])
    expect(await shop.raw.redis.get(shop.key('bad'))).toBe('x')
  })
})
