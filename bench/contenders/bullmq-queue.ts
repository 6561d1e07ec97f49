import { type JobsOptions, Queue } from 'bullmq'
import { Redis } from 'ioredis'
import type { BenchOrder } from '../contender.ts'
import type { Servers } from '../servers.ts'

const JOBS_AT_ONCE = 1_000

/** Plans a job for each order with `addBulk`. */
export async function addJobs(options: {
  servers: Servers
  queueName: string
  orders: readonly BenchOrder[]
  /** On each job. */
  extras: JobsOptions
}): Promise<void> {
  const { servers, queueName, orders, extras } = options
  const queue = new Queue(queueName, { connection: { url: servers.redisUrl } })
  try {
    for (let start = 0; start < orders.length; start += JOBS_AT_ONCE) {
      const timestamp = Date.now()
      await queue.addBulk(
        orders.slice(start, start + JOBS_AT_ONCE).map(({ orderId, deadline }) => ({
          name: 'check-payment',
          data: { orderId },
          opts: { ...extras, timestamp, delay: Math.max(0, deadline - timestamp) },
        })),
      )
    }
  } finally {
    await queue.close()
  }
}

/** Counts the unfinished jobs of a queue. */
export function watchQueue(servers: Servers, queueName: string): { unfinished(): Promise<number>; close(): void } {
  const redis = new Redis(servers.redisUrl).on('error', () => {}) // a question may end its Redis
  const key = `bull:${queueName}`
  return {
    async unfinished() {
      const replies = await redis
        .multi()
        .zcard(`${key}:delayed`)
        .llen(`${key}:wait`)
        .zcard(`${key}:prioritized`)
        .llen(`${key}:active`)
        .exec()
      return (replies ?? []).reduce((sum, [, count]) => sum + Number(count), 0)
    },
    close: () => redis.disconnect(),
  }
}
