import type { Redis } from 'ioredis'
import type { QueueKeys } from '../../redis/keys.ts'

const JOBS_MEASURED = 100
/** The limit that is advised, in bytes: fields up to it stay in the compact encoding. */
export const ADVISED_LIMIT = 256

/** The memory that the jobs of a sorted set take, by a sample of them. */
export interface JobMemory {
  count: number
  /** About how many of them take less memory with the advised limit. */
  reducible: number
  /** Bytes that one of those takes, and would take. */
  bytes: number
  reducedBytes: number
}

/** By the latest ones, as those before may be of a time with another limit. @returns undefined where there are none */
export async function readJobMemory(redis: Redis, { job }: QueueKeys, set: string): Promise<JobMemory | undefined> {
  const [count, ids] = await Promise.all([redis.zcard(set), redis.zrevrange(set, 0, JOBS_MEASURED - 1)])
  const sizes = await Promise.all(ids.map((id) => sizeOf(redis, job(id))))
  const known = sizes.filter((size) => size !== undefined)
  if (known.length === 0) return undefined
  const reducible = known.filter(({ bytes, reducedBytes }) => reducedBytes < bytes)
  return {
    count,
    reducible: Math.ceil((count * reducible.length) / known.length),
    bytes: mean(reducible.map(({ bytes }) => bytes)),
    reducedBytes: mean(reducible.map(({ reducedBytes }) => reducedBytes)),
  }
}

async function sizeOf(redis: Redis, key: string): Promise<Pick<JobMemory, 'bytes' | 'reducedBytes'> | undefined> {
  const [encoding, usage, fields] = await Promise.all([
    redis.object('ENCODING', key),
    redis.memory('USAGE', key, 'SAMPLES', 0), // all of its few fields
    redis.hgetall(key),
  ])
  if (usage == null) return undefined // gone meanwhile
  const bytes = Number(usage)
  const texts = Object.entries(fields).flat()
  const fits = texts.every((text) => Buffer.byteLength(text) <= ADVISED_LIMIT)
  return { bytes, reducedBytes: encoding === 'hashtable' && fits ? compactSize(key, texts) : bytes }
}

/**
 * What `MEMORY USAGE` says of a hash in the compact encoding: the key, its entry in the dictionary, the object and the list.
 * https://github.com/redis/redis/blob/7.0/src/listpack.c
 */
function compactSize(key: string, texts: readonly string[]): number {
  const list = texts.reduce((sum, text) => sum + entrySize(text), 7)
  return allocated(Buffer.byteLength(key) + 4) + 24 + 16 + allocated(list)
}

/** An element of the list: a header, the value, and the length again for reading backwards. */
function entrySize(text: string): number {
  if (/^(0|[1-9]\d{0,14})$/.test(text)) {
    const bits = [8, 13, 16, 24, 32].find((width) => Number(text) < 2 ** (width - 1)) ?? 64
    return bits < 16 ? 1 + Math.ceil(bits / 8) : 2 + bits / 8
  }
  const bytes = Buffer.byteLength(text)
  const withHeader = bytes + (bytes < 64 ? 1 : bytes < 4_096 ? 2 : 5)
  return withHeader + (withHeader < 128 ? 1 : 2)
}

/** What the allocator gives for this many bytes: it has four sizes for each power of two. https://jemalloc.net/jemalloc.3.html */
function allocated(bytes: number): number {
  const step = Math.max(16, 2 ** (Math.ceil(Math.log2(bytes)) - 3))
  return Math.ceil(bytes / step) * step
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}
