import { Redis } from 'ioredis'
import type { Servers } from './servers.ts'

/** Scripts that take no longer than this are not written down. */
const LEAST_MS = 1
const MOST_KEPT = 100_000
/** Redis' own. */
const DEFAULTS = { 'slowlog-log-slower-than': 10_000, 'slowlog-max-len': 128 }

type Entry = [id: number, at: number, micros: number, args: string[]]

/** @returns how long the slowest script has held Redis since, in milliseconds; {@link LEAST_MS} if all were faster */
export async function watchSlowScripts(servers: Servers): Promise<() => Promise<number>> {
  const redis = new Redis(servers.redisUrl)
  await configure(redis, { 'slowlog-log-slower-than': LEAST_MS * 1_000, 'slowlog-max-len': MOST_KEPT })
  await redis.slowlog('RESET')
  return async () => {
    try {
      const entries = (await redis.slowlog('GET', -1)) as Entry[]
      await configure(redis, DEFAULTS)
      await redis.slowlog('RESET')
      const scripts = entries.filter(([, , , [command = '']]) => /^(eval|evalsha|fcall)$/i.test(command))
      return scripts.reduce((most, [, , micros]) => Math.max(most, micros / 1_000), LEAST_MS)
    } finally {
      redis.disconnect()
    }
  }
}

async function configure(redis: Redis, settings: Record<string, number>): Promise<void> {
  for (const [name, value] of Object.entries(settings)) await redis.config('SET', name, value)
}
