import type { Redis } from 'ioredis'
import { type Finding, finding } from '../../doctor/finding.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { unlessRefused } from '../../redis/reply.ts'
import { ADVISED_LIMIT, readJobMemory } from './job-memory.ts'

const SETTINGS = ['save', 'appendfsync', 'hash-max-*-value', 'min-replicas-to-write', 'stop-writes-on-bgsave-error']

export type RedisState = Awaited<ReturnType<typeof readState>>

/**
 * What `INFO`, `CONFIG GET` and the jobs say. A setting that may not be read is absent, and `refused` says why.
 *
 * @param options.keepsOrders whether the orders themselves are in it
 */
export async function readState(redis: Redis, { keepsOrders, queue }: { keepsOrders: boolean; queue: NamedQueue }) {
  let refused: string | undefined
  const onRefused = ({ message }: Error) => {
    refused ??= message.slice(0, 100)
  }
  const lines = ((await unlessRefused(redis.info(), onRefused)) ?? '').matchAll(/^(\w+):(.*)$/gm)
  const info = new Map(Array.from(lines, ([, name = '', value = '']) => [name, value]))
  const config = new Map<string, string>()
  // One at a time: several names in one command need Redis 7.
  for (const setting of SETTINGS) {
    const flat = ((await unlessRefused(redis.config('GET', setting), onRefused)) ?? []) as string[]
    for (let n = 0; n < flat.length; n += 2) config.set(flat[n] as string, flat[n + 1] as string)
  }
  const memoryOf = (set: string) => unlessRefused(readJobMemory(redis, queue.keys, set))
  const [waiting, finished] = await Promise.all([memoryOf(queue.keys.delayed), memoryOf(queue.keys.completed)])
  return { info, config, refused, keepsOrders, waiting, finished }
}

/** The commands that change a setting of Redis such as `appendonly yes`, and make it last. */
export function configSet({ info }: RedisState, setting: string): string[] {
  return [
    `CONFIG SET ${setting}`,
    info.get('config_file') ? 'CONFIG REWRITE' : `# and, so that it lasts, where Redis gets its settings: ${setting}`,
  ]
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
    meaning: `Usual for managed servers. Expected: an append-only file, noeviction, hash-max-listpack-value ${ADVISED_LIMIT}.`,
    fix: "# look at these in the provider's console",
  })
}
