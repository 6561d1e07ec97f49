import { expect, test } from '@jest/globals'
import type { Check } from '../../src/order/order.ts'
import type { Settlement } from '../../src/order/settle.ts'
import { LEFT_BEHIND_PRIORITY } from '../../src/queue/left-behind.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { Heartbeat } from '../../src/runtime/heartbeat.ts'
import { closing } from '../helpers/closing.ts'
import { eventually } from '../helpers/eventually.ts'
import { addDue, gate, kept, startPump } from '../helpers/pump.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

function openQueue(): RawQueue {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  return raw
}

const completed = (raw: RawQueue, count: number) =>
  eventually(`${count} are completed`, async () => (await raw.queue.getCompletedCount()) === count)

test.each([
  ['CONCURRENCY', { concurrency: 400 }, [250, 150]],
  ['BATCH_SIZE', { batchSize: 30 }, [30, 30, 30, 30]],
  ['the batches that the store takes at once', { maxBatches: 2 }, [250, 250]],
  ['a CONCURRENCY of one', { concurrency: 1 }, [1]],
])('as many are in flight as there is room for, and no more: %s', async (_what, limits, sizes) => {
  const raw = openQueue()
  const { settle, batches, go } = gate()
  await addDue(raw, 700)
  await startPump(raw, { settle, ...limits })
  await eventually('there is no more room', () => batches.length === sizes.length)
  expect(batches.map(({ length }) => length)).toEqual(sizes)
  expect(await raw.queue.getActiveCount()).toBe(sizes.reduce((sum, size) => sum + size))
  go()
  await completed(raw, 700)
  expect(new Set(batches.flat()).size).toBe(700)
  expect(batches.flat().length).toBe(700)
})

test('a worker that has stopped leaves no key of its own', async () => {
  const raw = openQueue()
  await addDue(raw, 1)
  const { worker } = await startPump(raw)
  const receipts = () => raw.redis.keys(`bull:${raw.name}:*:claim`)
  await completed(raw, 1)
  expect(await receipts()).toHaveLength(1)
  await worker.stop()
  expect(await receipts()).toEqual([])
})

test('those that came first are checked first', async () => {
  const raw = openQueue()
  const { settle, batches, go } = gate()
  await addDue(raw, 40)
  go()
  await startPump(raw, { settle, batchSize: 10, maxBatches: 1 })
  await completed(raw, 40)
  expect(batches.flat()).toEqual(Array.from({ length: 40 }, (_, n) => `${n + 1}`))
})

test.each([250, 8])(
  'orders left behind never share a batch with others, nor hold them up, and take no more than their share, with batches of %d',
  async (batchSize) => {
    const raw = openQueue()
    const behind = gate()
    const good: string[][] = []
    await addDue(raw, 30, { priority: LEFT_BEHIND_PRIORITY })
    await startPump(raw, {
      concurrency: 40,
      batchSize,
      async settle(checks) {
        if (Number(checks[0]?.orderId) <= 30) return behind.settle(checks)
        good.push(checks.map(({ orderId }) => orderId))
        return checks.map(kept)
      },
    })
    await eventually('some of them are looked at', () => behind.asked() > 0)
    for (let n = 31; n <= 80; n++) {
      const data = { orderId: `${n}`, deadline: Date.now() - 1 }
      await raw.queue.add('check-payment', data, { jobId: `job-${n}` })
    }
    await completed(raw, 50)
    expect(good.flat().length).toBe(50)
    await eventually('they have a quarter of the slots', async () => (await raw.queue.getActiveCount()) === 10)
    expect(behind.asked()).toBeLessThanOrEqual(10)
    behind.go()
    await completed(raw, 80)
    for (const batch of behind.batches) expect(batch.length).toBeLessThanOrEqual(10)
  },
)

test('checks that wait for the clock of the store hold up no batch', async () => {
  const raw = openQueue()
  const early = new Set<string>()
  await addDue(raw, 200)
  await startPump(raw, {
    batchSize: 10,
    maxBatches: 1,
    settle: async (checks) =>
      checks.map((check) => {
        if (early.has(check.orderId)) return kept(check)
        early.add(check.orderId)
        const evidence = { decidedAt: Date.now(), status: 'pending', deadline: check.deadline }
        return { kind: 'postponed', reason: 'not-due', until: Date.now() + 150, evidence }
      }),
  })
  // One after the other, they would take twenty times as long as one.
  const startedAt = performance.now()
  await completed(raw, 200)
  expect(performance.now() - startedAt).toBeLessThan(2_000)
  expect(await raw.redis.hget(raw.queue.toKey('job-1'), 'ats')).toBe('1')
})

test('once it is paused it claims nothing more, though there is', async () => {
  const raw = openQueue()
  const { settle, go, asked } = gate()
  await addDue(raw, 300)
  const { worker } = await startPump(raw, { settle, batchSize: 10, maxBatches: 1 })
  await eventually('the first are checked', () => asked() === 10)
  worker.pause()
  go()
  await completed(raw, 10)
  expect(await raw.queue.getJobCounts('wait', 'active')).toEqual({ wait: 290, active: 0 })
  worker.resume()
  await completed(raw, 300)
})

test('a queue whose global concurrency is reached is asked again once a check has ended', async () => {
  const raw = openQueue()
  await raw.queue.setGlobalConcurrency(3)
  const { settle, batches, go } = gate()
  await addDue(raw, 20)
  await startPump(raw, { settle, longestSleepMs: 60_000 })
  await eventually('three are checked', () => batches.length === 1)
  expect(await raw.queue.getActiveCount()).toBe(3)
  go()
  await completed(raw, 20)
  expect(batches.every(({ length }) => length <= 3)).toBe(true)
})

test('a worker that stops hands on the job that only it knew of: another one is on time', async () => {
  const raw = openQueue()
  const begunAt: number[] = []
  const open = () =>
    startPump(raw, {
      longestSleepMs: 10_000,
      async settle(checks) {
        begunAt.push(Date.now())
        return checks.map(kept)
      },
    })
  const workers = [await open(), await open()]
  const asleep = async () => Number(/blocked_clients:(\d+)/.exec(await raw.redis.info('clients'))?.[1])
  await eventually('both sleep', async () => (await asleep()) >= 2)
  const dueAt = Date.now() + 2_000
  await raw.queue.add('check-payment', { orderId: '1', deadline: dueAt }, { delay: 2_000 })
  // Only one of them is woken, and knows when the job is due; it is the one whose stop matters.
  await eventually('one of them knows of it', async () => (await raw.redis.zcard(raw.queue.toKey('marker'))) === 0)
  await workers[0]?.worker.stop()
  await eventually('the other one has it', () => begunAt.length === 1)
  expect((begunAt[0] as number) - dueAt).toBeLessThan(500)
})

test.each(['auto', 'wrapped'] as const)(
  'a job with bytes that are no text is put back once, with claims %s',
  async (claims) => {
    const raw = openQueue()
    await addDue(raw, 1)
    await raw.redis.hset(raw.queue.toKey('job-1'), 'data', Buffer.from('{"orderId":"1","by":"caf\xe9"}', 'latin1'))
    let asked = 0
    await startPump(raw, {
      claims,
      settle: async (checks) =>
        checks.map((check) => {
          if (asked++ > 0) return kept(check)
          const evidence = { decidedAt: Date.now(), status: 'pending', deadline: check.deadline }
          return { kind: 'postponed', reason: 'locked', until: Date.now() + 50, evidence }
        }),
    })
    await completed(raw, 1)
    expect(asked).toBe(2)
  },
)

test('a worker that stops tells of the place that it leaves: another one takes it at once', async () => {
  const raw = openQueue()
  const { settle, batches, go } = gate()
  await raw.queue.setGlobalConcurrency(1)
  await addDue(raw, 2)
  const { worker } = await startPump(raw, { settle, longestSleepMs: 20_000 })
  await eventually('it has the only place', () => batches.length === 1)
  await startPump(raw, { longestSleepMs: 20_000 })
  const stopped = worker.stop()
  go()
  await stopped
  await completed(raw, 2) // within 10 s, and not after the longest sleep
})

test('the notes of checks that come too early tell whole milliseconds, which is how they are known for ours', async () => {
  const raw = openQueue()
  await addDue(raw, 5)
  const until = Date.now() + 3_600_000
  const settle = async (checks: readonly Check[]) =>
    checks.map(({ deadline }): Settlement => {
      const evidence = { decidedAt: Date.now() - 10_000, status: 'pending', deadline }
      return { kind: 'postponed', reason: 'not-due', until, evidence }
    })
  await startPump(raw, { settle })
  await eventually('all are put back', async () => (await raw.queue.getDelayedCount()) === 5)
  for (let n = 1; n <= 5; n++) {
    const { logs } = await raw.queue.getJobLogs(`job-${n}`)
    expect(logs).toEqual([expect.stringMatching(/check postponed by \d+ ms: not-due$/)])
  }
})

test('jobs that need preparation are checked together', async () => {
  const raw = openQueue()
  const { settle, batches, go } = gate()
  await addDue(raw, 20)
  for (let n = 1; n <= 20; n++) await raw.redis.hset(raw.queue.toKey(`job-${n}`), 'stc', 'some')
  await startPump(raw, { settle })
  await eventually('all are asked for', () => batches.flat().length === 20)
  expect(batches.length).toBe(1)
  go()
  await completed(raw, 20)
})

test('the lock of a long check is kept, and its heart beats when it ends', async () => {
  const raw = openQueue()
  const { settle, go, asked } = gate()
  const heartbeat = new Heartbeat({ name: 'worker', clock: systemClock })
  await addDue(raw, 1)
  await startPump(raw, { settle, heartbeat })
  await eventually('it is checked', () => asked() === 1)
  const lock = raw.queue.toKey('job-1:lock')
  const before = await raw.redis.pttl(lock)
  await eventually('its lock is renewed', async () => (await raw.redis.pttl(lock)) > before)
  go()
  await completed(raw, 1)
  expect(heartbeat.ageMs).toBeLessThan(1_000)
})
