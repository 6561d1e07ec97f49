import type { Redis } from 'ioredis'
import { clockFinding, count, examine, type Finding, finding } from '../observe/finding.ts'
import type { Clock } from '../runtime/clock.ts'
import { redisErrorCode } from '../runtime/redis-reply.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { Connection, commandProfile, describeRedisAddress, type RedisAddress } from './connection.ts'

const ANSWER_TIMEOUT_MS = 3_000
const CONNECT_TIMEOUT_MS = 4_000
const WITHIN_MS = 6_000
/** The best of so many answers tells the time: the quicker an answer, the less it can be off. */
const CLOCK_SAMPLES = 5
const MEGABYTE = 1_048_576

/** What `INFO` and `CONFIG GET` say; a setting that may not be read is undefined. */
interface State {
  redis: Redis
  info: ReadonlyMap<string, string>
  config: ReadonlyMap<string, string>
  /** Why the settings cannot be read. */
  refused: string | undefined
  keepsOrders: boolean
}

/**
 * Looks at the Redis server, and changes nothing. Ends within 20 s, whatever is down.
 *
 * @param options.keepsOrders whether the orders themselves are in it
 */
export async function diagnoseRedis(options: {
  redis: RedisAddress
  keepsOrders: boolean
  clock: Clock
}): Promise<Finding[]> {
  const { redis: address, keepsOrders, clock } = options
  const connection = new Connection({ address, profile: commandProfile(address, ANSWER_TIMEOUT_MS) })
  const where = describeRedisAddress(address)
  try {
    try {
      await withTimeout({
        // Not PING: with a disk error Redis refuses that one, too.
        work: connection.untilReady().then(() => connection.redis.time()),
        ms: CONNECT_TIMEOUT_MS,
        clock,
        onTimeout: () => new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1_000} s`),
      })
    } catch (error) {
      return [unreachable(connection, where, error)]
    }
    return await examine({
      code: 'redis-reachable',
      withinMs: WITHIN_MS,
      clock,
      look: async () => {
        const state = await readState(connection.redis, keepsOrders)
        return [
          finding('ok', 'redis-reachable', { what: `answers at ${where}` }),
          ...(state.info.size > 0 ? looks.flatMap((look) => look(state)) : []),
          await compareClocks(connection.redis, clock),
          ...unread(state),
        ]
      },
    })
  } finally {
    connection.close()
  }
}

function unreachable(connection: Connection, where: string, error: unknown): Finding {
  const { code, cause, message } = connection.explain(error)
  const state = redisErrorCode(cause)
  const why = cause instanceof Error && cause.message ? cause.message : message
  const hint: Record<string, string> = {
    WRONGPASS: '# correct the user and the password in REDIS_URL',
    NOAUTH: '# give a password in REDIS_URL: redis://:password@host:6379',
    NOPERM: `# give the user of REDIS_URL all commands on the keys of the queue: ACL SETUSER … ~* &* +@all`,
    LOADING: '# it is reading its data after a restart: wait, and run doctor again',
  }
  return finding('error', 'redis-reachable', {
    what: `${code === 'REDIS_REFUSED' ? 'refuses us' : 'cannot be reached'} at ${where}: ${why}`,
    meaning: 'No order can be scheduled, and none is looked at on time.',
    fix:
      (state && hint[state]) ??
      '# start Redis, or correct REDIS_URL; then from this machine: redis-cli -u "$REDIS_URL" PING',
  })
}

async function readState(redis: Redis, keepsOrders: boolean): Promise<State> {
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
  return { redis, info, config, refused, keepsOrders }
}

const looks: readonly ((state: State) => Finding[])[] = [
  ({ info }) => {
    const [name, version] = info.has('valkey_version')
      ? ['Valkey', info.get('valkey_version') as string]
      : info.has('dragonfly_version')
        ? ['Dragonfly', info.get('redis_version') ?? '0']
        : ['Redis', info.get('redis_version') ?? '0']
    const what = `${name} ${version}`
    if (isOlder(version, [6, 2])) {
      return [
        finding('error', 'redis-version', {
          what: `${what}, expected 6.2 or later`,
          meaning: 'BullMQ and the redis store use commands that it does not have.',
          fix: '# upgrade to Redis 7 or later, or Valkey',
        }),
      ]
    }
    if (isOlder(version, [7, 0])) {
      return [
        finding('warning', 'redis-version', {
          what: `${what}, recommended is 7 or later`,
          meaning: 'It works, but is no longer maintained, and we do not test with it.',
          fix: '# upgrade to Redis 7 or later, or Valkey',
        }),
      ]
    }
    return [finding('ok', 'redis-version', { what })]
  },

  ({ info }) => {
    if (info.get('role') !== 'slave') return [finding('ok', 'redis-role', { what: 'primary, takes writes' })]
    const primary = `${info.get('master_host')}:${info.get('master_port')}`
    return [
      finding('error', 'redis-role', {
        what: `is a replica of ${primary} (link ${info.get('master_link_status') ?? 'unknown'})`,
        meaning: 'It refuses writes: nothing can be scheduled, and no check can be finished.',
        fix: [
          `# point REDIS_URL to the primary, ${primary}; or, if this one is to become the primary:`,
          'REPLICAOF NO ONE',
        ],
      }),
    ]
  },

  ({ info, config }) => {
    const replicas = Number(info.get('connected_slaves') ?? 0)
    const least = config.get('min-replicas-to-write')
    if (replicas === 0) return [finding('ok', 'redis-replicas', { what: 'none' })]
    return [
      finding('info', 'redis-replicas', {
        what: `${count(replicas, 'replica')}, min-replicas-to-write ${least ?? 'cannot be read here'}`,
        meaning:
          'Replicas follow a moment later: a failover forgets the last writes, even acknowledged ones. With min-replicas-to-write above 0 Redis refuses writes when no replica keeps up.',
      }),
    ]
  },

  ({ info, config, keepsOrders }) => {
    const lost = keepsOrders ? 'orders, payments and scheduled checks' : 'scheduled checks'
    const turnOn = ['CONFIG SET appendonly yes', ...lasting(info, 'appendonly yes')]
    if (info.get('aof_enabled') === '1') {
      const fsync = config.get('appendfsync')
      if (fsync !== 'no') {
        const how = { always: 'written through each time', everysec: 'written through each second' }[fsync ?? '']
        return [finding('ok', 'redis-persistence', { what: `append-only file${how ? `, ${how}` : ''}` })]
      }
      return [
        finding('warning', 'redis-persistence', {
          what: 'append-only file, but appendfsync no',
          meaning: `If the machine stops, the ${lost} of about the last 30 s are lost.`,
          fix: ['CONFIG SET appendfsync everysec', ...lasting(info, 'appendfsync everysec')],
        }),
      ]
    }
    const save = config.get('save')
    if (save === undefined) return [] // said as redis-config
    if (save === '') {
      return [
        finding('warning', 'redis-persistence', {
          what: 'nothing is written to disk',
          meaning: `When Redis restarts, all ${lost} are gone.`,
          fix: turnOn,
        }),
      ]
    }
    const every = Math.min(...[...save.matchAll(/(\d+) \d+/g)].map(([, seconds]) => Number(seconds)))
    return [
      finding(keepsOrders ? 'warning' : 'info', 'redis-persistence', {
        what: `snapshots only (save ${save})`,
        meaning: `When Redis crashes, the ${lost} since the last snapshot are lost: those of ${every} s and more.`,
        fix: turnOn,
      }),
    ]
  },

  ({ info, config }) => {
    const findings: Finding[] = []
    if (info.get('rdb_last_bgsave_status') === 'err') {
      const stops = config.get('stop-writes-on-bgsave-error') !== 'no' && config.get('save') !== ''
      findings.push(
        finding(stops ? 'error' : 'warning', 'redis-writes', {
          what: 'the last snapshot (BGSAVE) has failed',
          meaning: stops
            ? 'Redis refuses every write (MISCONF) until a snapshot succeeds: nothing can be scheduled or finished.'
            : 'There is no snapshot of the present data.',
          fix: ['# make room on the disk of Redis, see its log for the reason, then:', 'BGSAVE'],
        }),
      )
    }
    if (info.get('aof_last_write_status') === 'err') {
      findings.push(
        finding('error', 'redis-writes', {
          what: 'the last write to the append-only file has failed',
          meaning: 'Redis refuses every write (MISCONF) until one succeeds: nothing can be scheduled or finished.',
          fix: '# make room on the disk of Redis, see its log for the reason; it tries again by itself',
        }),
      )
    }
    if (info.get('aof_last_bgrewrite_status') === 'err') {
      findings.push(
        finding('warning', 'redis-writes', {
          what: 'the last rewrite of the append-only file has failed',
          meaning: 'The file grows until the disk is full; then Redis refuses every write.',
          fix: ['# make room on the disk of Redis, see its log for the reason, then:', 'BGREWRITEAOF'],
        }),
      )
    }
    return findings.length > 0 ? findings : [finding('ok', 'redis-writes', { what: 'no failed write to disk' })]
  },

  ({ info }) => {
    const policy = info.get('maxmemory_policy')
    if (policy === undefined) return []
    const what = `maxmemory-policy ${policy}`
    if (policy === 'noeviction') return [finding('ok', 'redis-eviction', { what })]
    return [
      finding('error', 'redis-eviction', {
        what,
        meaning: policy.startsWith('volatile')
          ? 'At its memory limit Redis deletes the locks of checks under way, and whatever else has an expiry, without a word.'
          : 'At its memory limit Redis deletes waiting orders without a word.',
        fix: ['CONFIG SET maxmemory-policy noeviction', ...lasting(info, 'maxmemory-policy noeviction')],
      }),
    ]
  },

  ({ info }) => {
    const used = Number(info.get('used_memory'))
    const limit = Number(info.get('maxmemory') ?? 0)
    const total = Number(info.get('total_system_memory') ?? 0)
    const most = limit || total
    if (!Number.isFinite(used) || most === 0) return []
    const percent = (100 * used) / most
    const what = `${megabytes(used)} used, ${percent.toFixed(0)} % of ${limit ? `maxmemory (${megabytes(limit)})` : `the machine (${megabytes(total)}; no maxmemory is set)`}`
    if (percent <= 80) return [finding('ok', 'redis-memory', { what })]
    const more = Math.ceil((used * 2) / MEGABYTE)
    return [
      finding(percent > 95 ? 'error' : 'warning', 'redis-memory', {
        what,
        meaning: limit
          ? 'At the limit Redis refuses every write (OOM): nothing can be scheduled or finished.'
          : 'When the machine has no memory left, the kernel ends Redis.',
        fix:
          limit && (total === 0 || more * MEGABYTE < total * 0.8)
            ? [`CONFIG SET maxmemory ${more}mb`, ...lasting(info, `maxmemory ${more}mb`)]
            : '# give the server more memory, or take other data off it',
      }),
    ]
  },

  ({ info, config }) => {
    const name = config.has('hash-max-listpack-value') ? 'hash-max-listpack-value' : 'hash-max-ziplist-value'
    const value = config.get(name)
    if (value === undefined) return []
    if (Number(value) >= 128) return [finding('ok', 'redis-listpack', { what: `${name} ${value}` })]
    return [
      finding('info', 'redis-listpack', {
        what: `${name} ${value}`,
        meaning:
          'With 128 a waiting order takes about 509 bytes instead of 917. It counts for orders scheduled from then on.',
        fix: [`CONFIG SET ${name} 128`, ...lasting(info, `${name} 128`)],
      }),
    ]
  },
]

function unread({ info, config, refused }: State): Finding[] {
  if (refused === undefined) return []
  const unknown = [
    ...(info.size === 0 ? ['version, role, memory, eviction'] : []),
    ...(info.get('aof_enabled') !== '1' && !config.has('save') ? ['persistence'] : []),
    'appendfsync',
    'hash-max-listpack-value',
    'min-replicas-to-write',
  ]
  return [
    finding('info', 'redis-config', {
      what: `cannot be read here: ${unknown.join(', ')} (${refused})`,
      meaning: 'Usual for managed servers. Expected are: an append-only file, noeviction, hash-max-listpack-value 128.',
      fix: "# look at these in the provider's console",
    }),
  ]
}

async function compareClocks(redis: Redis, clock: Clock): Promise<Finding> {
  let best = { offsetMs: 0, marginMs: Number.POSITIVE_INFINITY }
  for (let n = 0; n < CLOCK_SAMPLES; n++) {
    const before = clock.now()
    const [seconds, micros] = await redis.time()
    const after = clock.now()
    const marginMs = (after - before) / 2 + 1 // our own clock shows whole milliseconds
    const offsetMs = Number(seconds) * 1_000 + Number(micros) / 1_000 - (before + after) / 2
    if (marginMs < best.marginMs) best = { offsetMs, marginMs }
  }
  return clockFinding({
    code: 'redis-clock',
    ...best,
    meaning:
      'A check is due by the clock of the worker, and the redis store decides by the clock of Redis: checks come that much too early and are looked at again, or too late.',
  })
}

/** What makes a `CONFIG SET` last. */
function lasting(info: ReadonlyMap<string, string>, setting: string): string[] {
  return info.get('config_file')
    ? ['CONFIG REWRITE']
    : [`# and, so that it lasts, where Redis gets its settings: ${setting}`]
}

function isOlder(version: string, than: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < than[0] || (major === than[0] && minor < than[1])
}

function megabytes(bytes: number): string {
  return bytes < 10 * MEGABYTE
    ? `${(bytes / MEGABYTE).toFixed(1)} MB`
    : `${Math.round(bytes / MEGABYTE).toLocaleString('en-US')} MB`
}
