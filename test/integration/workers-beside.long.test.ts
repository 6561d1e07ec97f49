import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { Worker } from 'bullmq'
import * as oldest from 'bullmq-6.0'
import { EventBus } from '../../src/observe/events.ts'
import { createSettle } from '../../src/order/settle.ts'
import { createWorkerService, type WorkerOptions } from '../../src/queue/worker/worker.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { ClaimsUnderTest } from '../contract/claims-under-test.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { MemoryStore } from '../helpers/memory-store.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { deferred } from '../unit/deferred.ts'

const JOBS = 2_000

/** A queue with due orders, half of them waiting and half of them delayed until now. */
async function openQueue(jobs = JOBS): Promise<{ raw: RawQueue; store: MemoryStore; ids: string[] }> {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const store = new MemoryStore()
  const ids = Array.from({ length: jobs }, (_, n) => `order-${n}`)
  const deadline = Date.now() - 1_000
  for (const id of ids) store.place(id, deadline)
  const opts = (n: number) => (n % 2 ? { timestamp: deadline - 60_000, delay: 60_000 } : {})
  const job = (orderId: string, n: number) => ({
    name: 'check-payment',
    data: { orderId, deadline },
    opts: { jobId: orderId, ...opts(n) },
  })
  await raw.queue.addBulk(ids.map(job))
  return { raw, store, ids }
}

async function startPump(
  raw: RawQueue,
  store: MemoryStore,
  options: Partial<Pick<WorkerOptions, 'claims' | 'settle'>> = {},
): Promise<void> {
  const service = createWorkerService({
    redis: redisUrl(),
    queue: namedQueue({ name: raw.name }),
    concurrency: 60,
    batchSize: 30,
    maxBatches: 2,
    maxAttempts: 3,
    paymentTimeoutMs: 300_000,
    settle: createSettle({ store, clock: systemClock }),
    decidedBy: 'test:1',
    heartbeat: new Heartbeat({ name: 'worker', clock: systemClock }),
    isRedisAway: () => false,
    ring: async () => {},
    wakeAnother: () => raw.redis.zadd(raw.queue.toKey('marker'), 0, '0'),
    events: new EventBus(),
    clock: systemClock,
    ...options,
  })
  closing.push(() => service.stop())
  await service.start(new AbortController().signal)
}

/** Workers of services that were built long ago are beside ours too. */
const WORKERS = { installed: Worker, '6.0': oldest.Worker as unknown as typeof Worker }

/** BullMQ's Worker with a handler that does nothing. */
function startWorker(
  raw: RawQueue,
  { version = 'installed', ...options }: { version?: keyof typeof WORKERS; stalledInterval?: number } = {},
): string[] {
  const done: string[] = []
  const { hostname: host, port } = new URL(redisUrl())
  const worker = new WORKERS[version](raw.name, async ({ id }) => void done.push(id as string), {
    connection: { host, port: Number(port) },
    concurrency: 20,
    maxStalledCount: 10,
    ...options,
  })
  worker.on('error', () => {})
  closing.push(() => worker.close())
  return done
}

const allCompleted = (raw: RawQueue, jobs = JOBS) =>
  eventually(`${jobs} jobs are completed`, async () => (await raw.queue.getCompletedCount()) === jobs, 50_000)

const settledIn = (store: MemoryStore) => store.events.map(({ orderId }) => orderId)

describe.each([
  { claims: 'auto', version: 'installed' },
  { claims: 'wrapped', version: 'installed' },
  { claims: 'auto', version: '6.0' },
  { claims: 'wrapped', version: '6.0' },
] as const)('claims $claims beside workers of BullMQ $version', ({ claims, version }) => {
  test('each job is done once, by one or the other', async () => {
    const { raw, store, ids } = await openQueue()
    const done = [startWorker(raw, { version }), startWorker(raw, { version })]
    await startPump(raw, store, { claims })
    await allCompleted(raw)
    const settled = settledIn(store)
    expect([...settled, ...done.flat()].sort()).toEqual(ids.toSorted())
    expect(settled.length).toBeGreaterThan(0)
    expect(done.flat().length).toBeGreaterThan(0)
    expect(await raw.queue.getJobCounts('wait', 'active', 'delayed', 'failed')).toEqual({
      ...{ wait: 0, active: 0, delayed: 0, failed: 0 },
    })
  })

  test('nobody takes a job while the queue is paused, and both go on afterwards', async () => {
    const { raw, store, ids } = await openQueue()
    const done = startWorker(raw, { version })
    await startPump(raw, store, { claims })
    await eventually('some are completed', async () => (await raw.queue.getCompletedCount()) > 0)
    await raw.queue.pause()
    await eventually('none is active', async () => (await raw.queue.getActiveCount()) === 0)
    const before = await raw.queue.getCompletedCount()
    await raw.queue.add('check-payment', { orderId: 'added' }, { jobId: 'added' })
    store.place('added', Date.now() - 1_000)
    expect(await raw.queue.getCompletedCount()).toBe(before)
    expect(await raw.queue.getActiveCount()).toBe(0)
    await raw.queue.resume()
    await allCompleted(raw, JOBS + 1)
    expect([...settledIn(store), ...done].sort()).toEqual([...ids, 'added'].sort())
  })

  test('a job that is added while the global concurrency is used up begins when another ends', async () => {
    const { raw, store } = await openQueue(0)
    await raw.queue.setGlobalConcurrency(1)
    const settle = createSettle({ store, clock: systemClock })
    const { promise: released, resolve: release } = deferred()
    await startPump(raw, store, { claims, settle: (checks) => released.then(() => settle(checks)) })
    const deadline = Date.now() - 1_000
    for (const orderId of ['first', 'second']) {
      store.place(orderId, deadline)
      await raw.queue.add('check-payment', { orderId, deadline }, { jobId: orderId })
      await eventually('one is active', async () => (await raw.queue.getActiveCount()) === 1)
    }
    release()
    const isDone = async () => (await raw.queue.getCompletedCount()) === 2
    await eventually('both are completed', isDone, 2_000) // less than the longest sleep
  })
})

test('what a worker of BullMQ had when it was killed is done by the pump, and nothing twice', async () => {
  const { raw, store, ids } = await openQueue(200)
  const program = fileURLToPath(new URL('../helpers/plain-worker.mjs', import.meta.url))
  const plain = spawn(process.execPath, [program, redisUrl(), raw.name], { stdio: ['ignore', 'pipe', 'inherit'] })
  closing.push(() => plain.kill('SIGKILL'))
  let told = ''
  plain.stdout.on('data', (text) => {
    told += text
  })
  await eventually('it has taken 20', () => told.split('\n').includes('20'))
  await startPump(raw, store)
  await eventually('all others are completed', async () => (await raw.queue.getCompletedCount()) === 180)
  plain.kill('SIGKILL')
  await once(plain, 'exit')
  await allCompleted(raw, 200) // two looks for stalled jobs take 10 s each
  expect(settledIn(store).sort()).toEqual(ids.toSorted())
})

test('what a pump had when it was killed is done by workers of BullMQ', async () => {
  const under = await ClaimsUnderTest.open({ kind: 'auto' })
  closing.push(() => under.close())
  const ids = Array.from({ length: 100 }, (_, n) => `order-${n}`)
  for (const id of ids) await under.add(id)
  expect((await under.claim('of-one-that-is-killed', { most: 60 })).jobs).toHaveLength(60)
  await under.redis.del(...(await under.active()).map((id) => under.key(`${id}:lock`))) // they would expire
  const done = startWorker(under.raw, { stalledInterval: 100 })
  await allCompleted(under.raw, 100)
  expect(done.sort()).toEqual(ids.toSorted())
})
