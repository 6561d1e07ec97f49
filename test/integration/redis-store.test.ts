import { afterAll, afterEach, expect, test } from '@jest/globals'
import { commandProfile, openRedis } from '../../src/queue/connection.ts'
import { RedisOrders, RedisStore } from '../../src/stores/redis.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'

const redis = openRedis({ profile: commandProfile(redisUrl(), 10_000) })
const names = { redis, queueName: uniqueName('store'), queuePrefix: 'bull' }
const orders = new RedisOrders(names)
const store = new RedisStore(names)
const base = `{bull:${names.queueName}}`
const past = Date.now() - 1_000

afterEach(() => orders.clear())
afterAll(() => redis.disconnect())

test('a record that somebody has spoilt does not hold up the others', async () => {
  await orders.record(['1', '2', '3', '4'].map((orderId) => ({ orderId, deadline: past })))
  await redis.hset(`${base}:order:2`, 'deadline', 'soon')
  await redis.set(`${base}:order:3`, 'not a hash')
  const outcomes = await store.cancelUnpaid(['1', '2', '3', '4'].map((orderId) => ({ orderId, deadline: past })))
  expect(outcomes.map(({ kind }) => kind)).toEqual(['cancelled', 'cancelled', 'missing', 'cancelled'])
  expect((await orders.readEvents(undefined, 10)).map(({ orderId }) => orderId)).toEqual(['1', '2', '4'])
})

test('nothing is cancelled where the event could not be written', async () => {
  await orders.record([{ orderId: '1', deadline: past }])
  await redis.set(orders.eventsKey, 'not a stream')
  await expect(store.cancelUnpaid([{ orderId: '1', deadline: past }])).rejects.toMatchObject({ code: 'STORE_REJECTED' })
  expect(await store.find(['1'])).toMatchObject([{ status: 'pending' }])
})

test('a store that is away is told from one that refuses', async () => {
  const away = new RedisStore({ ...names, redis: openRedis({ profile: commandProfile('redis://127.0.0.1:1', 1_000) }) })
  await expect(away.ping()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
  await away.close()
})
