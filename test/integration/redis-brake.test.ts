import { randomUUID as id } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import type { Redis } from 'ioredis'
import { peekBrake, RedisBrake } from '../../src/brake/redis-brake.ts'
import { asRedisError, openRedis } from '../../src/redis/connection.ts'
import { namedQueue, type QueueKeys } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { startRedis } from '../helpers/processes.ts'

function connectionOf(redis: Redis) {
  return { redis, explain: (error: unknown) => asRedisError(error, redisUrl()) }
}

/** Processes that share a brake: each with a connection of its own. */
function openBrakes(
  count: number,
  url = redisUrl(),
): { brakes: [RedisBrake, ...RedisBrake[]]; redis: Redis; keys: QueueKeys; key: string } {
  const queue = namedQueue({ name: uniqueName('brake') })
  const connections = Array.from({ length: count }, () => openRedis({ profile: commandProfile(url, 5_000) }))
  closing.push(() => {
    for (const redis of connections) redis.disconnect()
  })
  return {
    brakes: connections.map((redis) => new RedisBrake({ connection: connectionOf(redis), queue })) as [
      RedisBrake,
      ...RedisBrake[],
    ],
    redis: connections[0] as Redis,
    keys: queue.keys,
    key: queue.keys.brake,
  }
}

test('a brake that nobody has touched is released, and nothing is written by looking at it', async () => {
  const { brakes, redis, key } = openBrakes(1)
  expect(await brakes[0].status()).toEqual({ engaged: false, lastMinute: 0 })
  expect(await redis.exists(key, `${key}:cancelled`, `${key}:reserved`)).toBe(0)
})

test('who only peeks at it sees its state, and writes nothing, whatever is there', async () => {
  const { brakes, redis, keys, key } = openBrakes(1)
  expect(await peekBrake({ connection: connectionOf(redis), keys })).toEqual({ engaged: false })
  expect(await redis.exists(key, `${key}:cancelled`, `${key}:reserved`)).toBe(0)
  const { lastMinute, ...engaged } = await brakes[0].engage('limit', 'p:1')
  expect(await peekBrake({ connection: connectionOf(redis), keys })).toEqual(engaged)
  await brakes[0].reserve('a', 1, 100)
  const { lastMinute: none, ...released } = await brakes[0].release('ann', 60_000)
  const before = await redis.dumpBuffer(key)
  expect([lastMinute, none, await peekBrake({ connection: connectionOf(redis), keys })]).toEqual([0, 0, released])
  expect(await redis.dumpBuffer(key)).toEqual(before)
})

describe('a limit', () => {
  test('of 100 is kept exactly by two processes that ask for 1,000 in pieces at the same time', async () => {
    const { brakes } = openBrakes(2)
    const pieces = Array.from({ length: 143 }, (_, n) => brakes[n % 2]?.reserve(id(), 7, 100))
    const grants = await Promise.all(pieces)
    expect(grants.reduce((sum, grant) => sum + (grant?.granted ?? 0), 0)).toBe(100)
    for (const brake of brakes) expect(await brake.status()).toMatchObject({ engaged: false, lastMinute: 100 })
  })

  test('that is used up does not engage it by itself: what is granted may not be used', async () => {
    const { brakes } = openBrakes(1)
    expect(await brakes[0].reserve(id(), 100, 100)).toMatchObject({ granted: 100, status: { engaged: false } })
    expect(await brakes[0].reserve(id(), 1, 100)).toMatchObject({ granted: 0, status: { engaged: false } })
  })

  test('counts as used what was said to be, and what nobody has spoken of for a while', async () => {
    const { brakes, redis, key } = openBrakes(2)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    await one.reserve('a', 30, 100)
    await one.reserve('b', 20, 100)
    await other.reserve('c', 10, 100)
    expect(await other.countUsed()).toBe(0)
    await one.use('a', 25)
    await other.use('c', 10)
    for (const brake of brakes) expect(await brake.countUsed()).toBe(35)
    const second = Number(await redis.zscore(`${key}:reserved`, 'b'))
    await redis.zadd(`${key}:reserved`, `${second - 16}`, 'b')
    expect(await one.countUsed()).toBe(55)
    await one.release('ann', 1)
    expect(await one.countUsed()).toBe(0)
  })

  test('leaves room again for what is given back', async () => {
    const { brakes } = openBrakes(1)
    await brakes[0].reserve('a', 100, 100)
    for (const brake of [brakes[0], brakes[0]]) await brake.use('a', 70)
    expect(await brakes[0].status()).toMatchObject({ lastMinute: 70 })
    expect(await brakes[0].reserve(id(), 30, 100)).toMatchObject({ granted: 30, status: { engaged: false } })
  })

  test('counts a request once, however often it arrives, also at a second process', async () => {
    const { brakes } = openBrakes(2)
    for (const brake of [...brakes, ...brakes])
      expect(await brake.reserve('a', 60, 100)).toMatchObject({
        granted: 60,
        status: { engaged: false, lastMinute: 60 },
      })
    expect(await brakes[0].reserve('b', 60, 100)).toMatchObject({ granted: 40, status: { lastMinute: 100 } })
    expect(await brakes[0].reserve('b', 60, 100)).toMatchObject({ granted: 40, status: { lastMinute: 100 } })
  })

  test('grants nothing to a request that was given back before it arrived', async () => {
    const { brakes } = openBrakes(1)
    await brakes[0].use('a', 0)
    expect(await brakes[0].reserve('a', 60, 100)).toMatchObject({
      granted: 0,
      status: { engaged: false, lastMinute: 0 },
    })
  })

  test('gains no room by what is given back after a release, which has forgotten it', async () => {
    const { brakes } = openBrakes(1)
    await brakes[0].reserve('a', 5, 100)
    await brakes[0].release('ann', 1)
    await brakes[0].use('a', 0)
    expect(await brakes[0].status()).toMatchObject({ lastMinute: 0 })
  })

  test('counts the last minute only, and forgets what is older', async () => {
    const { brakes, redis, key } = openBrakes(1)
    const now = Number((await redis.time())[0])
    await redis.hset(`${key}:cancelled`, { a: 1_000, b: 500, c: 40, sum: 1_540 })
    await redis.zadd(`${key}:reserved`, `${now - 70}`, 'a', `${now - 63}`, 'b', `${now - 50}`, 'c')
    expect(await brakes[0].reserve('d', 60, 100)).toMatchObject({
      granted: 60,
      status: { engaged: false, lastMinute: 100 },
    })
    expect(await redis.hgetall(`${key}:cancelled`)).toEqual({ c: '40', d: '60', sum: '100' })
    expect(await redis.zrange(`${key}:reserved`, '0', '-1')).toEqual(['c', 'd'])
  })

  test('forgets a grant of which nothing was used, once its minute is over', async () => {
    const { brakes, redis, key } = openBrakes(2)
    await brakes[0].reserve('a', 5, 100)
    await brakes[0].use('a', 0)
    await redis.zadd(`${key}:reserved`, Number((await redis.time())[0]) - 61, 'a')
    expect(await brakes[1]?.status()).toEqual({ engaged: false, lastMinute: 0 })
    expect(await redis.exists(`${key}:reserved`)).toBe(0)
  })

  test('leaves nothing behind for ever', async () => {
    const { brakes, redis, key } = openBrakes(1)
    await brakes[0].reserve(id(), 1, 100)
    for (const name of ['cancelled', 'reserved']) expect(await redis.ttl(`${key}:${name}`)).toBeGreaterThan(60)
  })
})

test('a request that is sent again, because its answer was lost, counts once', async () => {
  let isCutting = false
  const proxy = createServer((client) => {
    const upstream = connect(Number(new URL(redisUrl()).port), '127.0.0.1')
    client.pipe(upstream)
    upstream.on('data', (data) => {
      if (isCutting) client.destroy()
      else client.write(data)
      isCutting = false
    })
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => {})
      from.on('close', () => to.destroy())
    }
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  closing.push(() => proxy.close())
  const url = new URL(redisUrl())
  url.port = `${(proxy.address() as AddressInfo).port}`
  const { brakes } = openBrakes(1, url.href)
  await brakes[0].status()
  for (const name of ['a', 'b', 'c']) {
    isCutting = true
    expect(await brakes[0].reserve(name, 30, 100)).toMatchObject({ granted: 30, status: { engaged: false } })
    expect(isCutting).toBe(false)
  }
  expect(await brakes[0].status()).toMatchObject({ engaged: false, lastMinute: 90 })
})

describe('released', () => {
  test('it grants anything until the suspension ends, which counts for nothing afterwards', async () => {
    const { brakes } = openBrakes(2)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    await one.reserve(id(), 11, 10)
    const before = Date.now()
    expect(await other.release('ann', 2_000)).toMatchObject({
      engaged: false,
      by: 'ann',
      lastMinute: 0,
      suspendedUntil: expect.any(Number),
    })
    const { suspendedUntil } = await one.status()
    expect((suspendedUntil as number) - before).toBeGreaterThanOrEqual(1_999)
    expect((suspendedUntil as number) - Date.now()).toBeLessThanOrEqual(2_000)
    expect(await one.reserve(id(), 5_000, 10)).toMatchObject({
      granted: 5_000,
      status: { engaged: false, lastMinute: 0 },
    })
    expect(await one.engage('payment-silence', 'p:1')).toMatchObject({ engaged: false })
    await eventually('the suspension ends', () => Date.now() > (suspendedUntil as number) + 10)
    expect(await one.reserve(id(), 10, 10)).toMatchObject({ granted: 10, status: { engaged: false } })
    expect(await one.engage('payment-silence', 'p:1')).toMatchObject({
      engaged: true,
      reason: 'payment-silence',
      by: 'p:1',
    })
  })

  test('it is engaged at once by hand, suspended or not', async () => {
    const { brakes } = openBrakes(1)
    await brakes[0].release('ann', 60_000)
    expect(await brakes[0].engage('manual', 'bob')).toMatchObject({ engaged: true, reason: 'manual', by: 'bob' })
    expect(await brakes[0].reserve(id(), 1, 100)).toMatchObject({ granted: 0 })
  })
})

describe('engaged', () => {
  test('by hand, all processes see it, with its time by the clock of Redis', async () => {
    const { brakes } = openBrakes(3)
    const before = Date.now()
    await brakes[0].engage('manual', 'ann')
    for (const brake of brakes) {
      const status = await brake.status()
      expect(status).toMatchObject({ engaged: true, reason: 'manual', by: 'ann' })
      expect(status.since).toBeGreaterThanOrEqual(before - 1)
      expect(status.since).toBeLessThanOrEqual(Date.now())
    }
  })

  test('already, another automatic reason changes nothing; somebody by hand does', async () => {
    const { brakes } = openBrakes(1)
    await brakes[0].engage('payment-silence', 'p:1')
    expect(await brakes[0].engage('limit', 'p:2')).toMatchObject({ reason: 'payment-silence', by: 'p:1' })
    expect(await brakes[0].engage('manual', 'ann')).toMatchObject({ reason: 'manual', by: 'ann' })
  })
})

describe('a Redis that has lost its data', () => {
  test('does not release it, as long as one process lives that knew of it', async () => {
    const server = await startRedis()
    closing.push(() => server.stop())
    const { brakes, redis } = openBrakes(2, server.url)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    const { since } = await one.engage('manual', 'ann')
    await redis.flushall()
    expect(await other.status()).toMatchObject({ engaged: false }) // it knew nothing
    expect(await one.reserve(id(), 1, 100)).toMatchObject({ granted: 0 })
    expect(await other.status()).toMatchObject({ engaged: true, reason: 'manual', by: 'ann', since })
  })

  test('does not engage it again once it has been released', async () => {
    const server = await startRedis()
    closing.push(() => server.stop())
    const { brakes, redis } = openBrakes(2, server.url)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    await one.engage('manual', 'ann')
    await other.release('bob', 1)
    expect(await one.status()).toMatchObject({ engaged: false })
    await redis.flushall()
    expect(await one.status()).toMatchObject({ engaged: false, by: 'bob', lastMinute: 0 })
  })

  /** Sets the keys of the brake back to what they were when this was called. */
  async function snapshot(redis: Redis, key: string): Promise<() => Promise<void>> {
    const keys = [key, `${key}:cancelled`, `${key}:reserved`]
    const dumps = await Promise.all(keys.map((each) => redis.dumpBuffer(each)))
    return async () => {
      await redis.del(keys)
      for (const [n, dump] of dumps.entries()) if (dump) await redis.restore(keys[n] as string, 0, dump)
    }
  }

  test('or has fallen back to older data does not release it', async () => {
    const { brakes, redis, key } = openBrakes(2)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    await other.release('bob', 1)
    const fallBack = await snapshot(redis, key)
    await one.engage('manual', 'ann')
    await fallBack()
    expect(await other.status()).toMatchObject({ engaged: false }) // it does not know better
    expect(await one.reserve(id(), 1, 100)).toMatchObject({ granted: 0 })
    expect(await other.status()).toMatchObject({ engaged: true, reason: 'manual', by: 'ann' })
  })

  test('or has fallen back to older data does not engage it again, nor forget until when it is suspended', async () => {
    const { brakes, redis, key } = openBrakes(2)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    await other.engage('limit', 'p:2')
    const fallBack = await snapshot(redis, key)
    await one.release('bob', 60_000)
    await fallBack()
    expect(await one.reserve(id(), 7, 5)).toMatchObject({ granted: 7, status: { engaged: false, by: 'bob' } })
    expect(await other.engage('payment-silence', 'p:2')).toMatchObject({ engaged: false, by: 'bob' })
  })

  test('begins no new minute: each process counts again what was granted to it', async () => {
    const { brakes, redis, key } = openBrakes(3)
    const [one, other, third] = brakes as [RedisBrake, RedisBrake, RedisBrake]
    const forget = await snapshot(redis, key)
    await one.reserve('a', 30, 100)
    const fallBack = await snapshot(redis, key)
    await one.reserve('b', 20, 100)
    await one.use('b', 15)
    await other.reserve('c', 10, 100)
    await fallBack()
    expect(await one.reserve('d', 1, 100)).toMatchObject({ granted: 1, status: { lastMinute: 46 } })
    await forget()
    expect(await one.status()).toMatchObject({ lastMinute: 46 })
    expect(await other.status()).toMatchObject({ lastMinute: 56 })
    expect(await third.reserve(id(), 50, 100)).toMatchObject({ granted: 44, status: { lastMinute: 100 } })
  })

  test('after a release, counts nothing from before it', async () => {
    const { brakes, redis, key } = openBrakes(2)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    const forget = await snapshot(redis, key)
    await one.reserve('a', 30, 100)
    await other.release('bob', 1)
    expect(await one.status()).toMatchObject({ engaged: false, lastMinute: 0 })
    await forget()
    expect(await one.status()).toMatchObject({ engaged: false, lastMinute: 0 })
    await one.engage('manual', 'ann')
    expect(await one.status()).toMatchObject({ engaged: true, lastMinute: 0 })
  })
})
