import { afterAll, afterEach, describe, expect, test } from '@jest/globals'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { createRedisStore } from '../../src/stores/redis/kind.ts'
import { RedisOrders } from '../../src/stores/redis/orders.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { startRedis } from '../helpers/processes.ts'

const connect = (address: string, timeoutMs = 10_000) =>
  new Connection({ address, profile: commandProfile(address, timeoutMs) })
const connection = connect(redisUrl())
const { redis } = connection
const names = { queue: namedQueue({ name: uniqueName('store') }) }
const orders = new RedisOrders({ ...names, redis })
const store = createRedisStore({ ...names, connection })
const base = `{bull:${names.queue.name}}`
const past = Date.now() - 1_000
const placedAt = past - 1_000

afterEach(() => orders.clear())
afterAll(() => redis.disconnect())

test('a record that somebody has spoilt does not hold up the others', async () => {
  await orders.record(['1', '2', '3', '4'].map((orderId) => ({ orderId, deadline: past, placedAt })))
  await redis.hset(`${base}:order:2`, 'deadline', 'soon')
  await redis.set(`${base}:order:3`, 'not a hash')
  const outcomes = await store.cancelUnpaid(['1', '2', '3', '4'].map((orderId) => ({ orderId, deadline: past })))
  expect(outcomes.map(({ kind }) => kind)).toEqual(['cancelled', 'cancelled', 'missing', 'cancelled'])
  expect((await orders.readEvents(undefined, 10)).map(({ orderId }) => orderId)).toEqual(['1', '2', '4'])
})

test('nothing is cancelled where the event could not be written', async () => {
  await orders.record([{ orderId: '1', deadline: past, placedAt }])
  await redis.set(names.queue.keys.events, 'not a stream')
  await expect(store.cancelUnpaid([{ orderId: '1', deadline: past }])).rejects.toMatchObject({ code: 'STORE_REJECTED' })
  expect(await store.find(['1'])).toMatchObject([{ status: 'pending' }])
})

test('a store that is only looked at writes nothing, and one that may not write says what to permit', async () => {
  const reader = uniqueName('reader')
  await redis.call(
    'ACL',
    'SETUSER',
    reader,
    'reset',
    'on',
    '>pw',
    `~${base}:*`,
    '+@read',
    '+@connection',
    '+time',
    '+info',
  )
  const url = `redis://${reader}:pw@${new URL(redisUrl()).host}`
  const connected = { ...names, connection: connect(url) }
  try {
    await orders.record([{ orderId: '1', deadline: past, placedAt }])
    const toRead = createRedisStore({ ...connected, access: 'read' })
    expect(await toRead.ping()).toBeGreaterThan(past)
    expect(await toRead.find(['1'])).toMatchObject([{ status: 'pending' }])
    await expect(createRedisStore(connected).ping()).rejects.toMatchObject({
      code: 'STORE_REFUSED',
      message: expect.stringMatching(/^Redis at \S+ refuses SET .*docs\/redis\.md.*\+set/),
    })
  } finally {
    connected.connection.close()
    await redis.call('ACL', 'DELUSER', reader)
  }
})

test('a store that is away is told from one that refuses', async () => {
  const away = createRedisStore({
    ...names,
    connection: connect('redis://127.0.0.1:1', 1_000),
  })
  await expect(away.ping()).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    retryable: true,
    message: expect.stringMatching(/^Redis at 127\.0\.0\.1:1 cannot be used now \(connect ECONNREFUSED/),
  })
  await away.close()
})

describe('a payment that comes after the cancellation', () => {
  const cancel = async (orderId: string, from = store) => {
    await orders.record([{ orderId, deadline: past, placedAt }])
    await from.cancelUnpaid([{ orderId, deadline: past }])
  }

  test('is told of once, however often it is made, with the evidence', async () => {
    await cancel('1')
    const answers = await Promise.all(Array.from({ length: 10 }, () => orders.pay('1')))
    const [order] = await store.find(['1'])
    const cancelledAt = new Date(order?.cancelledAt as number)
    const late = { orderId: '1', result: 'cancelled', code: 'ORDER_ALREADY_CANCELLED', cancelledAt }
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(answers[0]).toEqual({ ...late, deadline: new Date(past) })
    expect(order).toMatchObject({ status: 'cancelled', isUnpaid: false, paidAt: expect.any(Number) })
    const entries = await redis.xrange(names.queue.keys.events, '-', '+')
    expect(entries.map(([, [, type]]) => type)).toEqual(['order.cancelled', 'order.paid_late'])
    expect(entries[1]?.[1]).toEqual([
      ...['type', 'order.paid_late', 'order_id', '1', 'at', `${order?.paidAt}`],
      ...['deadline', `${past}`, 'cancelled_at', `${order?.cancelledAt}`],
    ])
    expect(await redis.xlen(names.queue.keys.undelivered)).toBe(0) // nobody delivers
    expect((await store.eventsOf?.('1'))?.map(({ type }) => type)).toEqual(['order.cancelled', 'order.paid_late'])
    expect(await store.newestPayment()).toBe(order?.paidAt)
  })

  test('is delivered where somebody delivers, though the shop that was paid does not know of that', async () => {
    const delivering = createRedisStore({ ...names, connection, areDelivered: true })
    await delivering.ping()
    await cancel('1', delivering)
    await orders.pay('1')
    await orders.pay('1')
    const shares = Array.from({ length: 32 }, (_, share) => share)
    const asked = { sink: 'webhook', after: undefined, shares, limit: 10 }
    const { events = [] } = (await delivering.deliveries?.undelivered(asked)) ?? {}
    const [order] = await store.find(['1'])
    const [, entry] = await redis.xrange(names.queue.keys.events, '-', '+')
    expect(events.map(({ type }) => type)).toEqual(['order.cancelled', 'order.paid_late'])
    expect(events[1]).toMatchObject({
      id: entry?.[0],
      orderId: '1',
      at: order?.paidAt,
      data: { at: order?.paidAt, deadline: past, cancelledAt: order?.cancelledAt },
    })
  })

  test('is counted by one sweep, whoever was paid', async () => {
    for (const orderId of ['1', '2']) await cancel(orderId)
    await orders.record([{ orderId: '3', deadline: past, placedAt }])
    for (const orderId of ['2', '1', '2', '3']) await orders.pay(orderId)
    expect(await store.tellPaidLate?.()).toEqual({ orders: [{ orderId: '2' }, { orderId: '1' }], isMore: false })
    expect(await store.tellPaidLate?.()).toEqual({ orders: [], isMore: false })
  })

  test('leaves nothing behind where its event cannot be written', async () => {
    await cancel('1')
    await redis.set(names.queue.keys.undelivered, 'not a stream')
    await expect(orders.pay('1')).rejects.toThrow('WRONGTYPE')
    expect((await store.find(['1']))[0]?.paidAt).toBeUndefined()
    await redis.del(names.queue.keys.undelivered)
    await orders.pay('1')
    expect(await redis.xlen(names.queue.keys.events)).toBe(2)
  })

  test('from a record without a deadline, it is told of without one', async () => {
    await redis.hset(`${base}:order:1`, 'status', 'cancelled')
    const { deadline, cancelledAt, code } = await orders.pay('1')
    expect([deadline, cancelledAt, code]).toEqual([undefined, expect.any(Date), 'ORDER_ALREADY_CANCELLED'])
  })
})

describe('pages of orders of one deadline', () => {
  const due = (count: number) => Array.from({ length: count }, (_, n) => ({ orderId: `${n}`, deadline: past }))
  const sorted = (of: readonly { orderId: string }[]) =>
    of.map(({ orderId }) => orderId).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

  test('go on behind the last order, whatever has become of it', async () => {
    const all = ['a', 'B', 'é', 'z', '🎫', 'ab', '', '~', '10', '9', 'Ä'].map((orderId) => ({
      orderId,
      deadline: past,
    }))
    const others = [
      { orderId: 'before', deadline: past - 1 },
      { orderId: 'behind', deadline: past + 1 },
    ]
    await orders.record([...all, ...others].map((order) => ({ ...order, placedAt })))
    const expected = ['before', ...sorted(all), 'behind']
    expect((await store.unpaidDueBefore(past + 1, undefined, 100)).map(({ orderId }) => orderId)).toEqual(expected)
    for (const [index, orderId] of expected.entries()) {
      const after = { orderId, deadline: past + (orderId === 'before' ? -1 : orderId === 'behind' ? 1 : 0) }
      const rest = async () => (await store.unpaidDueBefore(past + 1, after, 100)).map((order) => order.orderId)
      expect(await rest()).toEqual(expected.slice(index + 1))
      await orders.move(orderId, past + 3_600_000)
      expect(await rest()).toEqual(expected.slice(index + 1))
      await orders.withdraw(orderId)
      expect(await rest()).toEqual(expected.slice(index + 1))
    }
  })

  test('end at the instant, and keep what has no finite deadline apart', async () => {
    await orders.record(due(3).map((order) => ({ ...order, placedAt })))
    await redis.zadd(`${base}:unpaid`, '-inf', 'ever', 'inf', 'never', past + 1, 'later')
    expect(await store.unpaidDueBefore(past, undefined, 10)).toEqual([
      { orderId: 'ever', deadline: Number.NEGATIVE_INFINITY },
      ...due(3),
    ])
    const after = { orderId: 'ever', deadline: Number.NEGATIVE_INFINITY }
    expect(await store.unpaidDueBefore(past, after, 2)).toEqual(due(2))
    expect(await store.unpaidDueBefore(past, { ...after, orderId: 'gone' }, 10)).toEqual(due(3))
  })

  test('cost the same each: a thousand of them look at no order twice', async () => {
    const server = await startRedis()
    const own = connect(server.url)
    try {
      const queue = namedQueue({ name: 'q' })
      await new RedisOrders({ redis: own.redis, queue }).record(due(10_000).map((order) => ({ ...order, placedAt })))
      const large = createRedisStore({ connection: own, queue })
      await own.redis.config('RESETSTAT')
      const found: string[] = []
      let after: { orderId: string; deadline: number } | undefined
      do {
        const page = await large.unpaidDueBefore(past, after, 10)
        found.push(...page.map(({ orderId }) => orderId))
        after = page.at(-1)
      } while (after)
      expect(found).toEqual(sorted(due(10_000)))
      const bytes = Number(/total_net_output_bytes:(\d+)/.exec(await own.redis.info('stats'))?.[1])
      const calls = [...(await own.redis.info('commandstats')).matchAll(/calls=(\d+)/g)].map(([, n]) => Number(n))
      expect(bytes).toBeLessThan(10_000 * 60)
      expect(calls.reduce((sum, n) => sum + n, 0)).toBeLessThan(5 * 1_010)
    } finally {
      own.close()
      await server.stop()
    }
  })
})
