import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { OrderExpiry } from '../../src/index.ts'
import { EmbeddedRedis } from '../../src/redis/embedded.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { eventually } from '../helpers/eventually.ts'

/** Redis makes room for orders in powers of two, BullMQ keeps the last 10,000 events: from here on, the next ones pay their own. */
const BEFORE = 16_384
const ORDERS = 16_384

test.each<[what: string, makeId: (n: number) => string, maxBytes: number]>([
  ['a UUID', () => randomUUID(), 520],
  ['a big number', (n) => `${1_234_567_890_123_456n + BigInt(n)}`, 440],
])(
  'with the settings of the embedded Redis a waiting order whose id is %s takes at most so many bytes',
  async (_, makeId, maxBytes) => {
    const dir = mkdtempSync(join(tmpdir(), 'order-expiry-memory-'))
    const embedded = new EmbeddedRedis({ dir, clock: systemClock, onExit: () => {} })
    await embedded.start()
    const redis = new Redis({ path: join(dir, 'redis.sock') })
    const shop = new OrderExpiry({ redis: embedded.url })
    closing.push(
      async () => {
        await embedded.stop()
        rmSync(dir, { recursive: true, force: true })
      },
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
