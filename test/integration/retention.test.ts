import { expect, test } from '@jest/globals'
import { Worker } from 'bullmq'
import { EventBus } from '../../src/observe/events.ts'
import { createRetention, type Retention } from '../../src/queue/retention.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { quickClock } from '../helpers/quick-clock.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const HOUR = 3_600_000
/** Its rounds follow each other a thousand times as fast. */
const quick = quickClock(1_000)
const ALL: Retention = { ageMs: HOUR, count: 1_000 }

/** A queue with so many finished checks, the one with the least number finished first, and one that waits. */
async function finish(counts: { completed: number; failed: number }): Promise<RawQueue> {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const ids = (name: string, count: number) =>
    Array.from({ length: count }, (_, n) => ({ name, data: {}, opts: { jobId: `${name}-${n}` } }))
  await raw.queue.addBulk([...ids('completed', counts.completed), ...ids('failed', counts.failed)])
  const worker = new Worker(
    raw.name,
    async (job) => {
      if (job.name === 'failed') throw new Error('as it should')
    },
    { connection: { url: redisUrl(), maxRetriesPerRequest: null } },
  )
  closing.push(() => worker.close(true))
  await eventually('all have finished', async () => {
    const { completed, failed } = await raw.queue.getJobCounts('completed', 'failed')
    return completed === counts.completed && failed === counts.failed ? true : undefined
  })
  await raw.queue.add('waiting', {}, { jobId: 'waiting', delay: HOUR })
  return raw
}

async function startRetention(
  raw: RawQueue,
  keep: { completed: Retention; failed: Retention },
  clock = quick,
): Promise<EventBus> {
  const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 2_000) })
  const events = new EventBus()
  const options = { connection, queue: namedQueue({ name: raw.name }), keep, events, clock }
  const retention = createRetention(options)
  closing.push(async () => {
    await retention.stop()
    connection.close()
  })
  await retention.start(new AbortController().signal)
  return events
}

const counts = (raw: RawQueue) => raw.queue.getJobCounts('completed', 'failed', 'delayed')

test('of too many finished checks the oldest go, more than go at once, and each state by its own measure', async () => {
  const raw = await finish({ completed: 330, failed: 20 })
  await startRetention(raw, { completed: { ageMs: HOUR, count: 30 }, failed: { ageMs: HOUR, count: 15 } })
  await eventually('the surplus has gone', async () => {
    const { completed, failed } = await counts(raw)
    return completed === 30 && failed === 15 ? true : undefined
  })
  const kept = (await raw.queue.getCompleted(0, -1)).map(({ id }) => Number(id?.replace('completed-', '')))
  expect(kept.sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, n) => 300 + n))
  expect((await counts(raw)).delayed).toBe(1)
})

test('what is too old goes, though there is room', async () => {
  const raw = await finish({ completed: 130, failed: 3 })
  await startRetention(raw, { completed: { ageMs: 0, count: 1_000 }, failed: ALL })
  await eventually('they have gone', async () => ((await counts(raw)).completed === 0 ? true : undefined))
  expect(await counts(raw)).toEqual({ completed: 0, failed: 3, delayed: 1 })
})

test('what is neither stays, and nobody hears of it', async () => {
  const raw = await finish({ completed: 5, failed: 2 })
  const before = await raw.redis.xlen(raw.queue.toKey('events'))
  const other = await finish({ completed: 1, failed: 1 })
  await startRetention(raw, { completed: ALL, failed: ALL })
  await startRetention(other, { completed: { ageMs: 0, count: 9 }, failed: { ageMs: 0, count: 9 } })
  await eventually('the other one has come round', async () => {
    const { completed, failed } = await counts(other)
    return completed === 0 && failed === 0 ? true : undefined
  })
  expect(await counts(raw)).toEqual({ completed: 5, failed: 2, delayed: 1 })
  expect(await raw.redis.xlen(raw.queue.toKey('events'))).toBe(before)
})

test('where Redis is away it says so, and goes on when it is back', async () => {
  const raw = await finish({ completed: 4, failed: 0 })
  const connection = new Connection({
    address: 'redis://127.0.0.1:1',
    profile: commandProfile('redis://127.0.0.1:1', 500),
  })
  const events = new EventBus()
  const said = new Promise<{ connection: string }>((resolve) => events.on('redis-error', resolve))
  const retention = createRetention({ connection, queue: namedQueue({ name: raw.name }), events, clock: quick })
  await retention.start(new AbortController().signal)
  expect(await said).toMatchObject({ connection: 'retention', error: { code: 'REDIS_UNAVAILABLE' } })
  await retention.stop()
  connection.close()
})

test('while another process drops them it leaves them alone, and takes its turn when that one has ended', async () => {
  const raw = await finish({ completed: 20, failed: 0 })
  const turn = `{bull:${raw.name}}:retention`
  await raw.redis.set(turn, '1')
  let rounds = 0
  const counting: Clock = {
    ...quick,
    sleep: (ms, signal) => {
      rounds++
      return quick.sleep(ms, signal)
    },
  }
  await startRetention(raw, { completed: { ageMs: HOUR, count: 5 }, failed: ALL }, counting)
  await eventually('it has come round', () => (rounds > 3 ? true : undefined))
  expect(await counts(raw)).toMatchObject({ completed: 20 })
  await raw.redis.del(turn)
  await eventually('the surplus has gone', async () => ((await counts(raw)).completed === 5 ? true : undefined))
  await eventually('it has given the turn back', async () => ((await raw.redis.exists(turn)) === 0 ? true : undefined))
})
