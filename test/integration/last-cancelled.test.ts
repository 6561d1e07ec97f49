import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { QueueView } from '../../src/queue/view/queue-view.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { redisUrl } from '../helpers/env.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

let raw: RawQueue
let connection: Connection
let view: QueueView
beforeAll(() => {
  raw = new RawQueue()
  connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 2_000) })
  view = new QueueView({ connection, queue: namedQueue({ name: raw.name }) })
})
afterAll(async () => {
  connection.close()
  await raw.close()
})

const [deadline, decidedAt] = ['2026-11-25T10:00:00.000Z', '2026-11-25T10:00:01.000Z']
async function finish(jobId: string, data: unknown, returnvalue: unknown): Promise<void> {
  const key = raw.queue.toKey(jobId)
  await raw.redis.hset(key, { data: JSON.stringify(data), returnvalue: JSON.stringify(returnvalue) })
  await raw.redis.zadd(raw.queue.toKey('completed'), Number(await raw.redis.zcard(raw.queue.toKey('completed'))), jobId)
}
const decided = (outcome: string) => ({ outcome, deadline, decidedAt, decidedBy: 'a:1', status: 'pending' })

test('the last cancelled orders come latest first, whatever else there is among the finished checks', async () => {
  await finish('order-1', { orderId: '1' }, decided('cancelled'))
  await finish('order-2', { orderId: '2' }, decided('kept'))
  await finish('till-7', { orderId: 7 }, decided('cancelled'))
  await finish('odd-1', null, decided('cancelled'))
  await finish('odd-2', { orderId: {} }, decided('cancelled'))
  await finish('odd-3', { orderId: '3' }, 'anything')
  await raw.redis.zadd(raw.queue.toKey('completed'), 99, 'gone', 100, 'string')
  await raw.redis.set(raw.queue.toKey('string'), 'x')
  const order = { ...decided('cancelled'), by: 'check' }
  expect(await view.lastCancelled(5)).toEqual([
    { orderId: '7', jobId: 'till-7', ...order },
    { orderId: '1', ...order },
  ])
  expect(await view.lastCancelled(1)).toHaveLength(1)
})

test('the memory of Redis is told with its limit and policy', async () => {
  expect(await view.memory()).toEqual({
    used: expect.any(Number),
    max: expect.any(Number),
    policy: expect.stringMatching(/^(noeviction|allkeys|volatile)/),
  })
})
