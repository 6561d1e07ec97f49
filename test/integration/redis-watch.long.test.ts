import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { Connection, openRedis } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { createRedisWatch } from '../../src/redis/watch.ts'
import { closing } from '../helpers/closing.ts'
import { eventually } from '../helpers/eventually.ts'
import { freePort, type Server, startRedis } from '../helpers/processes.ts'
import { quickClock } from '../helpers/quick-clock.ts'

/** Time goes thirty times as fast while it looks at nothing. */
const quick = quickClock(30)

async function startServer(): Promise<{ server: Server; restart: (during?: () => Promise<void>) => Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-watch-'))
  const options = { port: await freePort(), dir, appendOnly: true }
  let server = await startRedis(options)
  closing.push(async () => {
    await server.stop()
    rmSync(dir, { recursive: true, force: true })
  })
  return {
    server,
    async restart(during) {
      await server.stop()
      await during?.()
      server = await startRedis(options)
    },
  }
}

async function startWatch(url: string, { everyMs = 3_000 } = {}) {
  const seen = { back: 0, failures: 0, lost: 0, ticks: 0 }
  const connection = new Connection({ address: url, profile: commandProfile(url, 2_000) })
  const watch = createRedisWatch({
    connection,
    queue: namedQueue({ name: 'q' }),
    everyMs,
    onBack: () => seen.back++,
    onFailure: () => seen.failures++,
    onLost: () => seen.lost++,
    onTick: () => seen.ticks++,
    clock: quick,
  })
  closing.push(async () => {
    await watch.stop()
    connection.close()
  })
  await watch.start(new AbortController().signal)
  /** Resolves when it has looked once more from begin to end. */
  const looked = async () => {
    const before = seen.ticks
    await eventually('it looks again', () => seen.ticks >= before + 2, 30_000)
  }
  await eventually('it looks', () => seen.ticks > 0)
  return { watch, seen, looked }
}

test('FLUSHALL is seen once, and seen again when it happens again', async () => {
  const { server } = await startServer()
  const { watch, seen, looked } = await startWatch(server.url)
  await looked()
  expect(seen).toMatchObject({ back: 0, lost: 0 })
  const redis = openRedis({ profile: commandProfile(server.url, 2_000) })
  closing.push(() => redis.disconnect())
  for (const times of [1, 2]) {
    await redis.flushall()
    await looked()
    await looked()
    expect(seen).toMatchObject({ back: 0, lost: times })
  }
  expect(watch.failure).toBeUndefined()
})

test('a process that comes later does not take what it finds for a loss', async () => {
  const { server } = await startServer()
  const one = await startWatch(server.url)
  const other = await startWatch(server.url)
  await other.looked()
  expect([one.seen.lost, other.seen.lost]).toEqual([0, 0])
})

test('of two processes, at least one sees the loss', async () => {
  const { server } = await startServer()
  const [one, other] = [await startWatch(server.url), await startWatch(server.url)]
  const redis = openRedis({ profile: commandProfile(server.url, 2_000) })
  closing.push(() => redis.disconnect())
  await redis.flushall()
  await Promise.all([one.looked(), other.looked()])
  expect(one.seen.lost + other.seen.lost).toBeGreaterThanOrEqual(1)
})

test('a Redis that is away is a failure until it is back, which is told once; what it has kept is no loss', async () => {
  const { server, restart } = await startServer()
  const { watch, seen, looked } = await startWatch(server.url)
  await restart(async () => {
    await eventually('it notices', () => watch.failure)
    expect(watch.failure).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    const { ticks } = seen
    await eventually('it goes on looking', () => seen.ticks > ticks + 1)
  })
  await eventually('it is back', () => watch.failure === undefined)
  await looked()
  expect(seen).toMatchObject({ back: 1, lost: 0 })
})

test('a Redis that was away at the start is told to be back', async () => {
  const { server, restart } = await startServer()
  await restart(async () => {
    const { watch, seen } = await startWatch(server.url)
    expect(watch.failure).toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    closing.push(() => expect(seen).toMatchObject({ back: 1, lost: 0 }))
    closing.push(() => eventually('it is back', () => seen.back === 1))
  })
})

test('a Redis that has refused writes is back when it takes them again, which is told once', async () => {
  const { server } = await startServer()
  const { watch, seen, looked } = await startWatch(server.url)
  const redis = openRedis({ profile: commandProfile(server.url, 2_000) })
  closing.push(() => redis.disconnect())
  await redis.config('SET', 'min-replicas-to-write', '1')
  await looked()
  await looked()
  expect([seen.back, watch.failure?.code]).toEqual([0, 'REDIS_UNAVAILABLE'])
  expect(seen.failures).toBeGreaterThan(0)
  await redis.config('SET', 'min-replicas-to-write', '0')
  await eventually('it is back', () => seen.back > 0)
  await looked()
  expect(seen).toMatchObject({ back: 1, lost: 0 })
})

test('where it may not write its key, it still tells of a Redis that is back', async () => {
  const { server, restart } = await startServer()
  const redis = openRedis({ profile: commandProfile(server.url, 2_000) })
  closing.push(() => redis.disconnect())
  await redis.call('ACL', 'SETUSER', 'default', '-set')
  const { watch, seen } = await startWatch(server.url)
  await restart(async () => {
    await eventually('it notices', () => watch.failure)
  })
  await eventually('it is back', () => seen.back === 1)
})

test('an outage that is over before the next look is noticed by the connection, and told once', async () => {
  const { server } = await startServer()
  const { seen, looked } = await startWatch(server.url)
  await looked()
  expect(seen.back).toBe(0)
  const redis = openRedis({ profile: commandProfile(server.url, 2_000) })
  closing.push(() => redis.disconnect())
  await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await eventually('it is back', () => seen.back > 0)
  await looked()
  expect(seen).toMatchObject({ back: 1, lost: 0 })
})

test('it looks at once when the connection is lost, and when there is one again', async () => {
  const { server, restart } = await startServer()
  const { watch, seen } = await startWatch(server.url, { everyMs: 24 * 3_600_000 })
  await restart(async () => {
    await eventually('it notices', () => watch.failure)
    const other = await startWatch(server.url)
    await other.looked() // meanwhile, the one look that was still under way has ended
  })
  await eventually('it is back', () => watch.failure === undefined)
  expect(seen).toMatchObject({ back: 1, lost: 0 })
})

test('it stops while Redis is away, and before it was started', async () => {
  const { server, restart } = await startServer()
  const { watch, seen } = await startWatch(server.url)
  await restart(async () => {
    await eventually('it notices', () => watch.failure)
    await watch.stop()
  })
  const { ticks } = seen
  // Another watch of the same pace has looked twice meanwhile.
  await startWatch(server.url)
  expect(seen.ticks).toBe(ticks)
  const connection = new Connection({ address: server.url, profile: commandProfile(server.url, 2_000) })
  closing.push(() => connection.close())
  const nothing = () => {}
  await createRedisWatch({
    connection,
    queue: namedQueue({ name: 'q' }),
    everyMs: 3_000,
    onBack: nothing,
    onFailure: nothing,
    onLost: nothing,
    onTick: nothing,
    clock: quick,
  }).stop()
})
