import { Redis } from 'ioredis'
import { startWorker } from '../child.ts'
import type { Contender } from '../contender.ts'

const KEY = 'due'
const IDS_AT_ONCE = 1_000

/** The least that can be done: ids by deadline, popped and forgotten. */
export const sortedSet: Contender = {
  name: 'sorted-set',
  advice:
    'A bare sorted set of ids by deadline: a Lua script pops up to 250 that are due, and one UPDATE settles them all. If the process ends ' +
    'or the UPDATE fails, what was popped is lost: an upper limit, not a queue.',
  cancels: true,
  async place(servers, orders) {
    const redis = new Redis(servers.redisUrl)
    try {
      for (let start = 0; start < orders.length; start += IDS_AT_ONCE) {
        const ids = orders.slice(start, start + IDS_AT_ONCE)
        await redis.zadd(KEY, ...ids.flatMap(({ orderId, deadline }) => [deadline, orderId]))
      }
    } finally {
      redis.disconnect()
    }
  },
  async start(servers) {
    const redis = new Redis(servers.redisUrl)
    const worker = await startWorker('sorted-set', {
      REDIS_URL: servers.redisUrl,
      DATABASE_URL: servers.databaseUrl,
      KEY,
    })
    return {
      pids: [worker.pid],
      async unfinished() {
        const waiting = await redis.zcard(KEY)
        return waiting === 0 && (await worker.isBusy()) ? 1 : waiting
      },
      async stop() {
        redis.disconnect()
        await worker.stop()
      },
    }
  },
}
