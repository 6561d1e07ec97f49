import { afterEach, describe, expect, test } from '@jest/globals'
import type { Redis } from 'ioredis'
import { commandProfile, openRedis } from '../../src/queue/connection.ts'
import { RedisBrake } from '../../src/queue/shared-brake.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { startRedis } from '../helpers/processes.ts'

const closing: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Processes that share a brake: each with a connection of its own. */
function openBrakes(
  count: number,
  url = redisUrl(),
): { brakes: [RedisBrake, ...RedisBrake[]]; redis: Redis; key: string } {
  const names = { queueName: uniqueName('brake'), queuePrefix: 'bull' }
  const connections = Array.from({ length: count }, () => openRedis({ profile: commandProfile(url, 5_000) }))
  closing.push(() => {
    for (const redis of connections) redis.disconnect()
  })
  return {
    brakes: connections.map((redis) => new RedisBrake({ redis, ...names })) as [RedisBrake, ...RedisBrake[]],
    redis: connections[0] as Redis,
    key: `{bull:${names.queueName}}:brake`,
  }
}

const SEVENTY_SECONDS_AGO = () => Math.floor(Date.now() / 1_000) - 70

test('a brake that nobody has touched is released, and nothing is written by looking at it', async () => {
  const { brakes, redis, key } = openBrakes(1)
  expect(await brakes[0].status()).toEqual({ engaged: false, lastMinute: 0 })
  expect(await redis.exists(key, `${key}:cancelled`)).toBe(0)
})

describe('a limit', () => {
  test('of 100 is kept exactly by two processes that ask for 1,000 in pieces at the same time', async () => {
    const { brakes } = openBrakes(2)
    const pieces = Array.from({ length: 143 }, (_, n) => brakes[n % 2]?.reserve(7, 100))
    const grants = await Promise.all(pieces)
    expect(grants.reduce((sum, grant) => sum + (grant?.granted ?? 0), 0)).toBe(100)
    for (const brake of brakes) {
      expect(await brake.status()).toMatchObject({
        engaged: true,
        reason: 'limit',
        by: 'more than 100 cancellations in a minute',
        since: expect.any(Number),
        lastMinute: 100,
      })
      expect(await brake.reserve(1, 1_000_000)).toMatchObject({ granted: 0 })
    }
  })

  test('that is met exactly does not engage it', async () => {
    const { brakes } = openBrakes(1)
    expect(await brakes[0].reserve(100, 100)).toMatchObject({ granted: 100, status: { engaged: false } })
    expect(await brakes[0].reserve(1, 100)).toMatchObject({ granted: 0, status: { engaged: true, reason: 'limit' } })
  })

  test('leaves room again for what is given back', async () => {
    const { brakes } = openBrakes(1)
    const grant = await brakes[0].reserve(100, 100)
    await brakes[0].giveBack(30, grant)
    expect(await brakes[0].status()).toMatchObject({ lastMinute: 70 })
    expect(await brakes[0].reserve(30, 100)).toMatchObject({ granted: 30, status: { engaged: false } })
  })

  test('gives back to the second in which it was granted, or not at all where that is forgotten', async () => {
    const { brakes } = openBrakes(1)
    await brakes[0].reserve(5, 100)
    await brakes[0].giveBack(5, {
      granted: 5,
      second: SEVENTY_SECONDS_AGO(),
      status: { engaged: false, lastMinute: 0 },
    })
    expect(await brakes[0].status()).toMatchObject({ lastMinute: 5 })
  })

  test('gains no room by what is given back after a release, which has forgotten it', async () => {
    const { brakes } = openBrakes(1)
    const grant = await brakes[0].reserve(5, 100)
    await brakes[0].release('ann', 1)
    await brakes[0].giveBack(5, grant)
    expect(await brakes[0].status()).toMatchObject({ lastMinute: 0 })
  })

  test('counts the last minute only, and forgets what is older', async () => {
    const { brakes, redis, key } = openBrakes(1)
    const now = Number((await redis.time())[0])
    await redis.hset(`${key}:cancelled`, { [now - 70]: 1_000, [now - 61 - 2]: 500, [now - 50]: 40 })
    expect(await brakes[0].reserve(60, 100)).toMatchObject({ granted: 60, status: { engaged: false, lastMinute: 100 } })
    expect(
      Object.keys(await redis.hgetall(`${key}:cancelled`))
        .map(Number)
        .every((second) => second >= now - 60),
    ).toBe(true)
  })

  test('leaves nothing behind for ever', async () => {
    const { brakes, redis, key } = openBrakes(1)
    await brakes[0].reserve(1, 100)
    expect(await redis.ttl(`${key}:cancelled`)).toBeGreaterThan(60)
  })
})

describe('released', () => {
  test('it grants anything until the suspension ends, which counts for nothing afterwards', async () => {
    const { brakes } = openBrakes(2)
    const [one, other] = brakes as [RedisBrake, RedisBrake]
    await one.reserve(11, 10)
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
    expect(await one.reserve(5_000, 10)).toMatchObject({ granted: 5_000, status: { engaged: false, lastMinute: 0 } })
    expect(await one.engage('payment-silence', 'p:1')).toMatchObject({ engaged: false })
    await eventually('the suspension ends', () => Date.now() > (suspendedUntil as number) + 10)
    expect(await one.reserve(10, 10)).toMatchObject({ granted: 10, status: { engaged: false } })
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
    expect(await brakes[0].reserve(1, 100)).toMatchObject({ granted: 0 })
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
    expect(await one.reserve(1, 100)).toMatchObject({ granted: 0 })
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
    expect(await one.status()).toEqual({ engaged: false, lastMinute: 0 })
  })
})
