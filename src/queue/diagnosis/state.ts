import type { Redis } from 'ioredis'
import { type Finding, finding } from '../../doctor/finding.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import { readWaitingJobs, type WaitingJobs } from './waiting-jobs.ts'

/** What `INFO`, `CONFIG GET` and the waiting jobs say; a setting that may not be read is undefined. */
export interface RedisState {
  info: ReadonlyMap<string, string>
  config: ReadonlyMap<string, string>
  /** Why the settings cannot be read. */
  refused: string | undefined
  /** Whether the orders themselves are in it. */
  keepsOrders: boolean
  waiting: WaitingJobs | undefined
}

export async function readState(
  redis: Redis,
  options: { keepsOrders: boolean; queue: NamedQueue },
): Promise<RedisState> {
  const info = new Map<string, string>()
  let refused: string | undefined
  const orRefused = async <T>(command: Promise<T>): Promise<T | undefined> => {
    try {
      return await command
    } catch (error) {
      // Managed servers have no CONFIG, or keep it from their customers.
      if (redisErrorCode(error) === undefined) throw error
      refused ??= (error as Error).message.slice(0, 100)
      return undefined
    }
  }
  for (const line of ((await orRefused(redis.info())) ?? '').split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0 && !line.startsWith('#')) info.set(line.slice(0, colon), line.slice(colon + 1))
  }
  const config = new Map<string, string>()
  // One at a time: several names in one command need Redis 7.
  const settings = ['save', 'appendfsync', 'hash-max-*-value', 'min-replicas-to-write', 'stop-writes-on-bgsave-error']
  for (const setting of settings) {
    const reply = await orRefused(redis.config('GET', setting) as Promise<unknown>)
    if (reply === undefined) break
    const flat = Array.isArray(reply) ? (reply as string[]) : Object.entries(reply as Record<string, string>).flat()
    for (let n = 0; n + 1 < flat.length; n += 2) config.set(flat[n] as string, flat[n + 1] as string)
  }
  return {
    info,
    config,
    refused,
    keepsOrders: options.keepsOrders,
    waiting: await readWaitingJobs(redis, options.queue.keys),
  }
}

/** What could not be read, which managed servers refuse. */
export function lookAtRefused({ info, config, refused }: RedisState): Finding | undefined {
  if (refused === undefined) return undefined
  const unknown = [
    ...(info.size === 0 ? ['version, role, memory, eviction'] : []),
    ...(info.get('aof_enabled') !== '1' && !config.has('save') ? ['persistence'] : []),
    'appendfsync',
    'hash-max-listpack-value',
    'min-replicas-to-write',
  ]
  return finding('info', 'redis-config', {
    what: `cannot be read here: ${unknown.join(', ')} (${refused})`,
    meaning: 'Usual for managed servers. Expected are: an append-only file, noeviction, hash-max-listpack-value 128.',
    fix: "# look at these in the provider's console",
  })
}
