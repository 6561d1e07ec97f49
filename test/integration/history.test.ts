import { expect, test } from '@jest/globals'
import { EventBus } from '../../src/observe/events.ts'
import { createHistoryWriter, History } from '../../src/observe/history.ts'
import { MinuteCounts } from '../../src/observe/minutes.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { startRedis } from '../helpers/processes.ts'
import { quickClock } from '../helpers/quick-clock.ts'

/** Its rounds follow each other a hundred times as fast. */
const quick = quickClock(100)
const running = new AbortController().signal

/** One process that counts and writes. */
function startProcess(options: { url: string; queueName: string; clock?: Clock }) {
  const { url, queueName, clock = quick } = options
  const events = new EventBus()
  const connection = new Connection({ address: url, profile: commandProfile(url, 500) })
  const history = new History({ redis: connection.redis, queue: namedQueue({ name: queueName }) })
  const counts = new MinuteCounts({ events, clock: systemClock })
  const errors: Error[] = []
  const writer = createHistoryWriter({ counts, history, connection, onError: (error) => errors.push(error), clock })
  closing.push(async () => {
    await writer.stop()
    connection.close()
  })
  const decide = (outcome: 'cancelled' | 'kept') =>
    events.emit('checks-finished', { checks: [{ orderId: '1', jobId: '1', outcome, lateMs: 4 }] })
  const read = async () =>
    (await history.read({ now: Date.now(), minutes: 2 })).map(({ cancelled = 0, kept = 0 }) => cancelled + kept)
  /** In the last minutes, one of which may have begun meanwhile. */
  const total = async () => (await read()).reduce((sum, count) => sum + count, 0)
  return { writer, decide, total, errors, history, connection }
}

test('the decisions of all processes add up, by the minute, and expire', async () => {
  const queueName = uniqueName('history')
  const [one, other] = [1, 2].map(() => startProcess({ url: redisUrl(), queueName })) as [
    ReturnType<typeof startProcess>,
    ReturnType<typeof startProcess>,
  ]
  for (const { writer } of [one, other]) await writer.start(running)
  one.decide('cancelled')
  one.decide('kept')
  other.decide('cancelled')
  await eventually('both have written', async () => (await one.total()) === 3)
  const keys = await one.connection.redis.keys(`{bull:${queueName}}:minute:*`)
  for (const key of keys) expect(await one.connection.redis.ttl(key)).toBeGreaterThan(3_600)
  const hour = await one.history.read({ now: Date.now(), minutes: 60 })
  expect(hour).toHaveLength(60)
})

test('what was decided last is written at the stop', async () => {
  const queueName = uniqueName('history')
  const { writer, decide } = startProcess({ url: redisUrl(), queueName, clock: systemClock })
  await writer.start(running)
  decide('cancelled')
  await writer.stop()
  expect(await startProcess({ url: redisUrl(), queueName }).total()).toBe(1)
})

test('while Redis is away it says so, keeps what it has, and does not hold up the stop', async () => {
  const redis = await startRedis()
  const queueName = uniqueName('history')
  const { writer, decide, errors, total } = startProcess({ url: redis.url, queueName })
  await writer.start(running)
  decide('cancelled')
  await eventually('it is written', async () => (await total()) === 1)
  await redis.stop()
  decide('kept')
  await eventually('it has tried', () => errors.length > 1)
  expect(errors[0]).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  const back = await startRedis({ port: redis.port })
  closing.push(() => back.stop())
  await eventually('what was kept is written', async () => (await total().catch(() => 0)) === 1)
  await back.stop()
  decide('kept')
  const before = errors.length
  await eventually('it has tried again', () => errors.length > before)
  const stoppingAt = performance.now()
  await writer.stop()
  // One command of it may be under way, which times out after half a second; none is begun any more.
  expect(performance.now() - stoppingAt).toBeLessThan(900)
})
