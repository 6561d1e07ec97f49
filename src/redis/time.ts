import type { Redis } from 'ioredis'

/** What the clock of Redis shows, in epoch milliseconds. */
export async function timeOf(redis: Pick<Redis, 'time'>): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000
}
