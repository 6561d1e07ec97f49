import { expect, test } from '@jest/globals'
import { ClosingTurns } from '../../src/queue/closing-turns.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { FakeClock } from '../helpers/fake-clock.ts'

const queue = () => namedQueue({ name: uniqueName('turns') })

function openTurns(options: { perSecond: number; queue: ReturnType<typeof queue>; url?: string; clock?: FakeClock }) {
  const { url = redisUrl(), clock = systemClock } = options
  const connection = new Connection({ address: url, profile: commandProfile(url, 1_000) })
  connection.redis.on('error', () => {})
  closing.push(() => connection.close())
  const errors: Error[] = []
  const turns = new ClosingTurns({ ...options, connection, clock, onError: (error) => errors.push(error) })
  return { turns, errors, redis: connection.redis }
}

test('turns of all processes are spaced evenly, and whoever has to wait long keeps one', async () => {
  const shared = { perSecond: 10, queue: queue() }
  const [here, there] = [openTurns(shared), openTurns(shared)]
  const waits: number[] = []
  for (let n = 0; n < 30; n++) waits.push(await (n % 2 ? here : there).turns.take(`${n}`))
  for (const [n, ms] of waits.entries()) {
    expect(ms).toBeLessThanOrEqual(n * 100 + 1)
    expect(ms).toBeGreaterThan(n * 100 - 3_000) // taking them takes a while
  }
  const last = await there.turns.take('29')
  expect(last).toBeLessThanOrEqual(waits[29] as number) // it has kept its turn
  expect(await here.turns.take('new')).toBeGreaterThan(last)
  expect(await here.redis.zcard(shared.queue.keys.closings)).toBeGreaterThan(10)
})

test('a turn is used up once it has come, and lost seconds later: an outage is no burst', async () => {
  const { turns, redis } = openTurns({ perSecond: 1, queue: queue() })
  const named = namedQueue({ name: uniqueName('turns') })
  const own = openTurns({ perSecond: 1, queue: named })
  expect(await turns.take('a')).toBe(0)
  const now = Date.now()
  await redis.zadd(named.keys.closings, now - 10, 'come', now - 60_000, 'lost')
  await redis.set(named.keys.closingsNext, String(now + 30_000))
  expect(await own.turns.take('come')).toBe(0)
  expect(await own.turns.take('come')).toBeGreaterThan(20_000)
  expect(await own.turns.take('lost')).toBeGreaterThan(20_000)
})

test('while Redis is away, a process takes a quarter of the rate for itself', async () => {
  const clock = new FakeClock()
  const { turns, errors } = openTurns({ perSecond: 40, queue: queue(), url: 'redis://127.0.0.1:1', clock })
  const waits = await Promise.all(Array.from({ length: 30 }, (_, n) => turns.take(`${n}`)))
  expect(waits.slice(0, 11)).toEqual(Array.from({ length: 11 }, (_, n) => n * 100))
  for (const ms of waits.slice(11)) expect(ms).toBeGreaterThan(1_000)
  expect(errors).toHaveLength(30)
})
