import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { eventually } from '../helpers/eventually.ts'
import { startRedis } from '../helpers/processes.ts'

/** Redis makes room for orders in powers of two, BullMQ keeps the last 10,000 events: from here on, the next ones pay their own. */
const BEFORE = 16_384
const ORDERS = 16_384

test.each<[what: string, makeId: (n: number) => string, maxBytes: number]>([
  ['a UUID', () => randomUUID(), 490],
  ['a big number', (n) => `${1_234_567_890_123_456n + BigInt(n)}`, 430],
])(
  'with the settings that Redis comes with, a waiting order whose id is %s takes at most so many bytes',
  async (_, makeId, maxBytes) => {
    const server = await startRedis()
    const redis = new Redis(server.url)
    const shop = new OrderExpiry({ redis: server.url })
    closing.push(
      () => server.stop(),
      () => redis.disconnect(),
      () => shop.close(),
    )
    const schedule = async (from: number, count: number) => {
      const items = Array.from({ length: count }, (_, n) => ({ orderId: makeId(from + n), deadline: '1h' }))
      const results = await shop.scheduleMany(items)
      expect(results.every((result) => 'result' in result && result.result === 'scheduled')).toBe(true)
    }
    const used = () => usedMemory(redis)
    await schedule(0, BEFORE)
    const before = await used()
    await schedule(BEFORE, ORDERS)
    expect(((await used()) - before) / ORDERS).toBeLessThanOrEqual(maxBytes)
  },
)

/** Once it no longer changes: Redis enlarges its tables, and writes its file, bit by bit. */
async function usedMemory(redis: Redis): Promise<number> {
  let last = 0
  await eventually('memory is at rest', async () => {
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
    const isAtRest = Math.abs(used - last) < 4_096
    last = used
    return isAtRest
  })
  return last
}
