import { Redis } from 'ioredis'
import { startWorker } from '../child.ts'
import type { Contender } from '../contender.ts'

const KEYS_AT_ONCE = 1_000

/** A key for each order that expires at its deadline, and Redis' event about it. */
export const keyspace: Contender = {
  name: 'keyspace',
  advice:
    'Redis keyspace events: SET order:<id> PXAT, one UPDATE per expired event through a pool of 10. Following redis.io/docs/manual/keyspace-notifications: ' +
    'notify-keyspace-events Ex; Redis sends an event when it finds the expired key, not when the key expires, and a listener that is away misses it.',
  cancels: true,
  async place(servers, orders) {
    const redis = new Redis(servers.redisUrl)
    try {
      for (let start = 0; start < orders.length; start += KEYS_AT_ONCE) {
        const pipeline = redis.pipeline()
        for (const { orderId, deadline } of orders.slice(start, start + KEYS_AT_ONCE)) {
          pipeline.set(`order:${orderId}`, '', 'PXAT', deadline)
        }
        for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
      }
    } finally {
      redis.disconnect()
    }
  },
  async start(servers) {
    const redis = new Redis(servers.redisUrl)
    await redis.config('SET', 'notify-keyspace-events', 'Ex')
    const before = await countExpired(redis)
    const worker = await startWorker('keyspace', { REDIS_URL: servers.redisUrl, DATABASE_URL: servers.databaseUrl })
    return {
      pids: [worker.pid],
      async unfinished() {
        const finished = worker.finished()
        const [expired, waiting] = await Promise.all([countExpired(redis), redis.dbsize()])
        return waiting + expired - before - finished
      },
      async stop() {
        await worker.stop()
        await redis.config('SET', 'notify-keyspace-events', '')
        redis.disconnect()
      },
    }
  },
}

async function countExpired(redis: Redis): Promise<number> {
  return Number(/^expired_keys:(\d+)/m.exec(await redis.info('stats'))?.[1])
}
