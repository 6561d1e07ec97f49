import { describe, expect, test } from '@jest/globals'
import { EventBus } from '../../src/observe/events.ts'
import { createSettle } from '../../src/order/settle.ts'
import type { OrderStore } from '../../src/order/store.ts'
import { type Replay, type ReplayOptions, replay } from '../../src/queue/replay/replay.ts'
import { createWorkerService } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import type { Service } from '../../src/runtime/service.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { startRedis } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

/** A shop whose table refuses to have orders cancelled until it is mended. */
class Shop {
  readonly raw = new RawQueue()
  readonly table: OrdersTable
  readonly #store: OrderStore
  readonly givenUp: string[] = []
  readonly finished: string[] = []
  readonly retried: string[] = []
  #worker: Service | undefined

  private constructor(table: OrdersTable, store: OrderStore) {
    this.table = table
    this.#store = store
  }

  static async open(): Promise<Shop> {
    const table = await OrdersTable.create()
    await table.migrate()
    const store = await PostgresStore.open(table.storeOptions())
    const shop = new Shop(table, store)
    await shop.raw.queue.waitUntilReady() // it writes its settings now
    closing.push(async () => {
      await shop.stopWorker()
      await shop.raw.close()
      await store.close()
      await table.drop()
    })
    return shop
  }

  async breakTable(): Promise<void> {
    await this.table.pool.query(`ALTER TABLE orders ADD CONSTRAINT no_cancelling CHECK (status <> 'cancelled')`)
  }

  async mendTable(): Promise<void> {
    await this.table.pool.query('ALTER TABLE orders DROP CONSTRAINT no_cancelling')
  }

  async startWorker(maxAttempts = 1): Promise<void> {
    const events = new EventBus()
    events.on('check-given-up', ({ jobId }) => this.givenUp.push(jobId))
    events.on('checks-finished', ({ checks }) => this.finished.push(...checks.map(({ jobId }) => jobId)))
    events.on('check-retried', ({ jobId }) => this.retried.push(jobId))
    this.#worker = createWorkerService({
      redis: redisUrl(),
      queue: namedQueue({ name: this.raw.name }),
      concurrency: 100,
      batchSize: 50,
      maxBatches: 2,
      maxAttempts,
      paymentTimeoutMs: 300_000,
      settle: createSettle({ store: this.#store, clock: systemClock }),
      decidedBy: 'test:1',
      events,
      heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
      isRedisAway: () => false,
      ring: async () => {},
      clock: systemClock,
    })
    await this.#worker.start(new AbortController().signal)
  }

  async stopWorker(): Promise<void> {
    await this.#worker?.stop()
    this.#worker = undefined
  }

  /** Overdue orders 1 to `many`, each with a check that the table made fail. */
  async placeAndFail(many: number): Promise<void> {
    await this.breakTable()
    const ids = Array.from({ length: many }, (_, n) => `${n + 1}`)
    await this.table.insert(ids.map((id) => ({ id, deadline: Date.now() - 1_000 })))
    await this.add(ids.map((orderId) => [`order-${orderId}`, { orderId }]))
    await this.startWorker()
    await this.untilFailed(many)
  }

  async add(jobs: [jobId: string, data: unknown][]): Promise<void> {
    await this.raw.queue.addBulk(jobs.map(([jobId, data]) => ({ name: 'check-payment', data, opts: { jobId } })))
  }

  async untilFailed(many: number): Promise<void> {
    await eventually(`${many} failed`, async () => (await this.raw.queue.getFailedCount()) === many, 45_000)
  }

  async untilFinished(many: number): Promise<void> {
    await eventually(`${many} finished`, async () => (await this.raw.queue.getCompletedCount()) === many, 45_000)
  }

  replay(options: Partial<ReplayOptions> & Pick<ReplayOptions, 'selection'>): Promise<Replay> {
    return replay({ redis: redisUrl(), queue: namedQueue({ name: this.raw.name }), ...options })
  }

  key(name: string): string {
    return this.raw.queue.toKey(name)
  }

  async failed(): Promise<string[]> {
    return this.raw.redis.zrange(this.key('failed'), 0, '-1')
  }

  /** Failed checks without a worker's work: of job ids in this order, failed at these times with this code. */
  async pretendFailed(jobs: { jobId: string; at: number; code?: string; orderId?: string }[]): Promise<void> {
    for (let start = 0; start < jobs.length; start += 1_000) {
      const pipeline = this.raw.redis.pipeline()
      for (const { jobId, at, code = 'STORE_REJECTED', orderId = jobId } of jobs.slice(start, start + 1_000)) {
        const reason = `${code}: for a test`
        pipeline.hset(this.key(jobId), { name: 'check-payment', data: JSON.stringify({ orderId }), opts: '{}' })
        pipeline.hset(this.key(jobId), { timestamp: Date.now(), delay: 0, priority: 0, atm: 1, ats: 1 })
        pipeline.hset(this.key(jobId), { failedReason: reason, finishedOn: at, processedOn: at })
        pipeline.zadd(this.key('failed'), `${at}`, jobId)
      }
      for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
    }
  }

  /** Everything of the queue that is in Redis. */
  async dump(): Promise<Record<string, string>> {
    const keys = (await this.raw.redis.keys(this.key('*'))).sort()
    return Object.fromEntries(
      await Promise.all(
        keys.map(async (key) => [key, (await this.raw.redis.dumpBuffer(key))?.toString('base64') ?? '']),
      ),
    )
  }
}

const numbered = (many: number, at: (n: number) => number, prefix = 'j') =>
  Array.from({ length: many }, (_, n) => ({ jobId: `${prefix}${n}`, at: at(n) }))

describe('checks that a worker has given up', () => {
  test('5,000, replayed beside the worker, are each settled once: unpaid cancelled, paid kept', async () => {
    const shop = await Shop.open()
    await shop.placeAndFail(5_000)
    await shop.table.pool.query(`UPDATE orders SET status = 'paid' WHERE id % 1000 = 0`)
    await shop.mendTable()
    const result = await shop.replay({ selection: 'all' })
    expect(result).toEqual({
      failed: 5_000,
      lookedAt: 5_000,
      found: 5_000,
      byCode: { STORE_REJECTED: 5_000 },
      replayed: 5_000,
      gone: 0,
      leftOut: {},
    })
    await shop.untilFinished(5_000)
    expect(await shop.failed()).toEqual([])
    expect(new Set(shop.finished).size).toBe(5_000)
    expect(shop.finished.length).toBe(5_000)
    const { rows } = await shop.table.pool.query('SELECT status, count(*)::int AS n FROM orders GROUP BY status')
    expect(Object.fromEntries(rows.map(({ status, n }) => [status, n]))).toEqual({ cancelled: 4_995, paid: 5 })
  })

  test('have all their attempts before them again', async () => {
    const shop = await Shop.open()
    await shop.breakTable()
    await shop.table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
    await shop.add([['j1', { orderId: '1' }]])
    await shop.startWorker(2)
    await shop.untilFailed(1)
    expect(shop.retried).toEqual(['j1'])
    expect(await shop.replay({ selection: { codes: ['STORE_REJECTED'] } })).toMatchObject({ replayed: 1 })
    await eventually('given up again', () => shop.givenUp.length === 2)
    await shop.untilFailed(1)
    expect(shop.retried).toEqual(['j1', 'j1'])
    const job = await shop.raw.queue.getJob('j1')
    expect(job).toMatchObject({ attemptsMade: 2, attemptsStarted: 2, data: { orderId: '1' } })
    expect(await shop.table.statusOf('1')).toBe('pending')
  })

  test('and fail again while the others are replayed are not replayed twice, even by the clock of a worker that is behind', async () => {
    const shop = await Shop.open()
    const now = Date.now()
    // Whatever fails again now has a time between those of the first and those of the last.
    await shop.pretendFailed(
      numbered(3_000, (n) => (n < 500 ? now - 3_600_000 + n : now + 3_600_000 + n)).map((job) => ({
        ...job,
        orderId: '',
      })),
    )
    await shop.startWorker()
    const failedBetween: number[] = []
    const result = await shop.replay({
      selection: { codes: ['STORE_REJECTED', 'INVALID_JOB'] },
      onProgress: () => failedBetween.push(shop.givenUp.length),
    })
    expect(Math.max(...failedBetween)).toBeGreaterThan(0) // or nothing was tested
    expect(result).toMatchObject({ failed: 3_000, lookedAt: 3_000, found: 3_000, replayed: 3_000 })
    await shop.untilFailed(3_000)
    expect(shop.givenUp.length).toBe(3_000)
  })

  test('replayed by four at once: each job by one of them', async () => {
    const shop = await Shop.open()
    const many = 4_000
    await shop.pretendFailed(numbered(many, (n) => 1_700_000_000_000 + Math.floor(n / 300)))
    const results = await Promise.all([1, 2, 3, 4].map(() => shop.replay({ selection: 'all' })))
    expect(results.reduce((sum, { replayed }) => sum + replayed, 0)).toBe(many)
    expect(results.some(({ gone }) => gone > 0)).toBe(true)
    for (const { found, replayed, gone, error, byCode } of results) {
      expect(error).toBeUndefined()
      expect(found).toBe(replayed + gone)
      const { STORE_REJECTED: looked = 0, ...others } = byCode
      expect(looked).toBeGreaterThanOrEqual(replayed) // another one may have been faster after this one had looked
      expect(looked).toBeLessThanOrEqual(found)
      expect(others).toEqual({})
    }
    expect(await shop.failed()).toEqual([])
    const waiting = await shop.raw.redis.lrange(shop.key('wait'), 0, -1)
    expect(waiting.length).toBe(many)
    expect(new Set(waiting).size).toBe(many)
  })
})

describe('the walk through the failed set', () => {
  const modes: [string, number, (n: number) => number][] = [
    ['in the same millisecond', 2_000, () => 1_700_000_000_000],
    ['in milliseconds of 333 each', 2_000, (n) => 1_700_000_000_000 + Math.floor(n / 333)],
    ['in a millisecond of exactly a page, and one more', 251, () => 1_700_000_000_000],
    ['at times of their own', 1_001, (n) => 1_700_000_000_000 + n],
  ]
  test.each(modes)(
    'finds each of those that failed %s once, when some are left and when all go',
    async (_, many, at) => {
      const shop = await Shop.open()
      const jobs = numbered(many, at, 'ü😀').map((job, n) => ({
        ...job,
        code: n % 3 ? 'STORE_REJECTED' : 'UNEXPECTED',
      }))
      await shop.pretendFailed(jobs)
      const found: string[] = []
      const onFound = ({ jobId }: { jobId: string }) => found.push(jobId)
      expect(await shop.replay({ selection: 'all', dryRun: true, onFound })).toMatchObject({
        found: many,
        lookedAt: many,
      })
      expect(found.sort()).toEqual(jobs.map(({ jobId }) => jobId).sort())
      const unexpected = jobs.filter(({ code }) => code === 'UNEXPECTED').length
      expect(await shop.replay({ selection: { codes: ['UNEXPECTED'] } })).toMatchObject({
        lookedAt: many,
        replayed: unexpected,
      })
      expect(await shop.replay({ selection: 'all' })).toMatchObject({ replayed: many - unexpected, gone: 0 })
      expect(await shop.failed()).toEqual([])
    },
  )

  test('misses none while others take some away before it', async () => {
    const shop = await Shop.open()
    await shop.pretendFailed([
      ...numbered(1_500, () => 1_700_000_000_000, 'a'),
      ...numbered(1_500, () => 1_700_000_000_000, 'b'),
    ])
    let removing: Promise<unknown> = Promise.resolve()
    const found: string[] = []
    const result = await shop.replay({
      selection: 'all',
      dryRun: true,
      onFound: ({ jobId }) => found.push(jobId),
      onProgress: ({ lookedAt }) => {
        // Sent before the walk's next command, but on another connection; some of them arrive first.
        if (lookedAt > 500) removing = shop.raw.redis.zrem(shop.key('failed'), ...found.slice(-240))
      },
    })
    await removing
    expect(result.found).toBe(3_000)
    expect(new Set(found).size).toBe(3_000)
  })

  test('ends with those that had failed before it, however many follow', async () => {
    const shop = await Shop.open()
    await shop.pretendFailed(numbered(3_000, (n) => n))
    const adding: Promise<unknown>[] = []
    const result = await shop.replay({
      selection: 'all',
      onProgress: ({ lookedAt }) =>
        adding.push(shop.pretendFailed([{ jobId: `late-${lookedAt}`, at: 10_000 + lookedAt }])),
    })
    await Promise.all(adding)
    expect(result).toMatchObject({ lookedAt: 3_000, replayed: 3_000 })
    expect((await shop.failed()).length).toBe(12)
  })
})

describe('what is replayed', () => {
  test('by order: every check of it, ours and those of other producers, whatever their ids', async () => {
    const shop = await Shop.open()
    await shop.pretendFailed([
      { jobId: 'order-a%3A1', at: 1, orderId: 'a:1' },
      { jobId: 'x', at: 2, orderId: 'a:1' },
      { jobId: '17', at: 3 },
      { jobId: 'order-lost', at: 4, code: 'INVALID_JOB' },
      { jobId: 'other', at: 5 },
      { jobId: 'broken', at: 6 },
    ])
    await shop.raw.redis.hset(shop.key('17'), 'data', '{"orderId": 17}')
    await shop.raw.redis.hset(shop.key('order-lost'), 'data', 'null')
    await shop.raw.redis.hset(shop.key('broken'), 'data', '{')
    const result = await shop.replay({ selection: { orderIds: ['a:1', 17, 'lost', 'nobody', 'x', '17'] } })
    expect(result).toMatchObject({ found: 4, replayed: 4, byCode: { STORE_REJECTED: 3, INVALID_JOB: 1 } })
    expect(result.orders).toEqual([
      { orderId: 'a:1', result: 'replayed' },
      { orderId: '17', result: 'replayed' },
      { orderId: 'lost', result: 'replayed' },
      { orderId: 'nobody', result: 'missing' },
      { orderId: 'x', result: 'missing' },
    ])
    expect(await shop.failed()).toEqual(['other', 'broken'])
    await expect(shop.replay({ selection: { orderIds: [''] } })).rejects.toMatchObject({ code: 'INVALID_ORDER_ID' })
  })

  test('all: but those with bad data, unless their code is named', async () => {
    const shop = await Shop.open()
    await shop.table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
    await shop.startWorker()
    await shop.add([['bad', { deadline: 'tomorrow' }]])
    await shop.raw.queue.add('send-mail', { orderId: '1' }, { jobId: 'mail' })
    await shop.untilFailed(2)
    await shop.pretendFailed([{ jobId: 'foreign', at: 1, code: 'job stalled', orderId: '1' }])
    expect(await shop.replay({ selection: 'all' })).toMatchObject({
      failed: 3,
      lookedAt: 3,
      replayed: 1,
      byCode: { OTHER: 1 },
      leftOut: { INVALID_JOB: 1, UNKNOWN_JOB: 1 },
    })
    expect((await shop.failed()).sort()).toEqual(['bad', 'mail'])
    await (await shop.raw.queue.getJob('bad'))?.updateData({ orderId: '1' })
    expect(await shop.replay({ selection: { codes: ['INVALID_JOB'] } })).toMatchObject({ replayed: 1, leftOut: {} })
    await eventually('finished', () => shop.finished.includes('bad') && shop.finished.includes('foreign'))
    expect(await shop.failed()).toEqual(['mail'])
  })

  test('nothing in a dry run, in which nothing changes', async () => {
    const shop = await Shop.open()
    await shop.pretendFailed([...numbered(600, (n) => n), { jobId: 'u', at: 5, code: 'UNEXPECTED' }])
    const before = await shop.dump()
    const result = await shop.replay({ selection: 'all', dryRun: true })
    expect(result).toMatchObject({ found: 601, replayed: 0, byCode: { STORE_REJECTED: 600, UNEXPECTED: 1 } })
    expect(await shop.replay({ selection: { orderIds: ['u'] }, dryRun: true })).toMatchObject({
      orders: [{ orderId: 'u', result: 'found' }],
    })
    expect(await shop.dump()).toEqual(before)
  })

  test('not a job that is gone, which is no error', async () => {
    const shop = await Shop.open()
    await shop.pretendFailed(numbered(3, (n) => n))
    await shop.raw.redis.del(shop.key('j1'))
    expect(await shop.replay({ selection: 'all' })).toMatchObject({ found: 3, replayed: 2, gone: 1 })
  })

  test('of an empty queue: nothing, and no key is left behind', async () => {
    const shop = await Shop.open()
    await shop.raw.queue.obliterate({ force: true })
    const before = await shop.dump()
    expect(await shop.replay({ selection: 'all' })).toMatchObject({ failed: 0, lookedAt: 0, replayed: 0 })
    expect(await shop.dump()).toEqual(before)
  })
})

describe('half-way', () => {
  test('Redis is lost: the result says how many were replayed, and the next run goes on', async () => {
    const shop = await Shop.open()
    await shop.pretendFailed(numbered(2_000, (n) => n))
    const proxy = await TcpProxy.to(redisUrl())
    closing.push(() => proxy.close())
    const redis = proxy.urlOf(redisUrl())
    const first = await shop.replay({ redis, selection: 'all', onProgress: () => proxy.cut() })
    expect(first).toMatchObject({ replayed: 250, error: { code: 'REDIS_UNAVAILABLE' } })
    expect((await shop.failed()).length).toBe(1_750)
    await expect(shop.replay({ redis, selection: 'all' })).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    proxy.heal()
    expect(await shop.replay({ redis, selection: 'all' })).toMatchObject({ replayed: 1_750 })
  })

  test('it is stopped: at the end of a page, and the next run goes on', async () => {
    const shop = await Shop.open()
    await shop.pretendFailed(numbered(1_000, (n) => n))
    const stop = new AbortController()
    const first = await shop.replay({ selection: 'all', signal: stop.signal, onProgress: () => stop.abort() })
    expect(first).toMatchObject({ replayed: 250, stopped: true })
    expect(await shop.replay({ selection: 'all' })).toMatchObject({ replayed: 750 })
  })

  test('Redis freezes: it ends with an error in time', async () => {
    const server = await startRedis()
    closing.push(() => server.stop())
    const raw = new RawQueue(server.url)
    closing.push(() => raw.close())
    const pipeline = raw.redis.pipeline()
    for (let n = 0; n < 600; n++) pipeline.zadd(raw.queue.toKey('failed'), `${n}`, `j${n}`)
    await pipeline.exec()
    const startedAt = Date.now()
    const result = await replay({
      redis: server.url,
      queue: namedQueue({ name: raw.name }),
      selection: 'all',
      onProgress: () => process.kill(server.pid, 'SIGSTOP'),
    })
    process.kill(server.pid, 'SIGCONT')
    expect(result.error).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    expect(Date.now() - startedAt).toBeLessThan(10_000)
  })
})
