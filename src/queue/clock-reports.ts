import type { Redis } from 'ioredis'
import type { ClockOffsets } from '../observe/clock-offsets.ts'
import type { QueueKeys } from '../redis/keys.ts'
import { timeOf } from '../redis/time.ts'

/** A process repeats its report more often than this; an older one is from a process that is gone. */
const FRESH_FOR_MS = 30_000

interface Source {
  redis: Redis
  keys: Pick<QueueKeys, 'clocks'>
}

/** A process tells that its clock differs, for `doctor`, which runs by the clock of another machine; or no longer does. */
export async function reportClocks({ redis, keys }: Source, by: string, offsets?: ClockOffsets): Promise<void> {
  if (!offsets) return void (await redis.hdel(keys.clocks, by))
  const value = JSON.stringify({ at: await timeOf(redis), ...offsets })
  await redis.multi().hset(keys.clocks, by, value).pexpire(keys.clocks, FRESH_FOR_MS).exec()
}

/** What running processes report, by their names. */
export async function readClockReports({ redis, keys }: Source): Promise<ReadonlyMap<string, ClockOffsets>> {
  const [now, reports] = await Promise.all([timeOf(redis), redis.hgetall(keys.clocks)])
  const fresh = new Map<string, ClockOffsets>()
  for (const [by, value] of Object.entries(reports)) {
    const { at, ...offsets } = JSON.parse(value) as ClockOffsets & { at: number }
    if (Math.abs(now - at) < FRESH_FOR_MS) fresh.set(by, offsets)
  }
  return fresh
}
