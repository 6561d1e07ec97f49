import type { Redis } from 'ioredis'

/** All that lies in Redis of a queue and of those beside it, by key; the name of the queue is `Q` everywhere. */
export type Snapshot = ReadonlyMap<string, Kept>

export interface Kept {
  type: string
  /** What is in it; of what has no order, sorted. Members of a sorted set have their score, fields of a hash their value. */
  content: readonly string[] | readonly (readonly string[])[]
  /** Negative: it does not expire. */
  ttlMs: number
}

/** KEYS pattern. Returns key, type, TTL, content, … */
const DUMP = `
local all = {}
local by = {
  string = function(key) return redis.call('GET', key) end,
  hash = function(key) return redis.call('HGETALL', key) end,
  list = function(key) return redis.call('LRANGE', key, 0, -1) end,
  set = function(key) return redis.call('SMEMBERS', key) end,
  zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
}
for _, key in ipairs(redis.call('KEYS', KEYS[1])) do
  local kind = redis.call('TYPE', key).ok
  all[#all + 1] = {key, kind, redis.call('PTTL', key), by[kind](key)}
end
return all
`

type Dumped = [key: string, type: string, ttlMs: number, content: string | string[] | [string, string[]][]]

export async function snapshotOf(redis: Redis, name: string): Promise<Snapshot> {
  const dumped = (await redis.eval(DUMP, 1, `bull:${name}*`)) as Dumped[]
  // Where one take needs several claims, each has a token of its own.
  const text = (raw: string) => raw.replaceAll(name, 'Q').replace(/^(token-\d+)\+\d+$/, '$1')
  return new Map(
    dumped.map(([key, type, ttlMs, content]) => {
      const kept = { type, ttlMs, content: contentOf(type, content, text) }
      return [text(key).replace('bull:', ''), kept]
    }),
  )
}

function contentOf(type: string, raw: Dumped[3], text: (raw: string) => string): Kept['content'] {
  if (typeof raw === 'string') return [text(raw)]
  if (type === 'stream') return (raw as [string, string[]][]).map(([, fields]) => fields.map(text))
  const flat = (raw as string[]).map(text)
  if (type === 'hash') return pairs(flat).toSorted(([a], [b]) => (a < b ? -1 : 1))
  if (type === 'zset') return pairs(flat)
  return type === 'set' ? flat.toSorted() : flat
}

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((one, n) => (n % 2 === 0 ? [[one, flat[n + 1] as string] as [string, string]] : []))
}
