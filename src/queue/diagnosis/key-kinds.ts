import { type Finding, finding, ok } from '../../doctor/finding.ts'
import type { Connection } from '../../redis/connection.ts'
import type { QueueKeys } from '../../redis/keys.ts'
import { unlessRefused } from '../../redis/reply.ts'

/** As Redis' TYPE has them. */
export type KeyKind = 'list' | 'zset' | 'set' | 'hash' | 'stream' | 'string'

/** Of BullMQ, by what comes after the name of the queue. */
const BULLMQ: Record<KeyKind, readonly string[]> = {
  list: ['wait', 'active', 'paused'],
  zset: ['marker', 'delayed', 'prioritized', 'completed', 'failed', 'waiting-children', 'repeat'],
  set: ['stalled'],
  hash: ['meta'],
  stream: ['events'],
  string: ['stalled-check', 'id', 'pc', 'limiter'],
}

/** Every single key of a queue, BullMQ's and ours, and what it is; the redis store's where it keeps the orders. */
export function kindsOfKeys(keys: QueueKeys, { keepsOrders }: { keepsOrders: boolean }): Map<string, KeyKind> {
  const kinds = new Map<string, KeyKind>()
  for (const [kind, parts] of Object.entries(BULLMQ)) {
    for (const part of parts) kinds.set(keys.job(part), kind as KeyKind)
  }
  kinds.set(keys.canary, 'string').set(keys.retention, 'string').set(keys.clocks, 'hash')
  kinds.set(keys.brake, 'hash').set(keys.brakeCancelled, 'hash').set(keys.brakeReserved, 'zset')
  kinds.set(keys.swept, 'hash').set(keys.sweptAt, 'zset').set(keys.foreignJobs, 'hash').set(keys.processes, 'hash')
  kinds.set(keys.closings, 'zset').set(keys.closingsNext, 'string')
  if (!keepsOrders) return kinds
  kinds.set(keys.unpaid, 'zset').set(keys.events, 'stream').set(keys.lastPaid, 'string').set(keys.probe, 'string')
  kinds.set(keys.undelivered, 'stream').set(keys.attempts, 'hash').set(keys.added, 'zset')
  kinds.set(keys.delivers, 'string').set(keys.paidLate, 'list')
  return kinds
}

/** Finds what others have written in the place of a key of the queue: Redis then refuses every script that touches it. */
export async function lookAtKeyKinds(
  { redis }: Connection,
  kinds: ReadonlyMap<string, KeyKind>,
): Promise<Finding | undefined> {
  const wrong: string[] = []
  let isRefused = false
  const look = async (key: string, kind: KeyKind) => {
    const found = await unlessRefused(redis.type(key), () => {
      isRefused = true
    })
    if (found !== undefined && found !== 'none' && found !== kind) wrong.push(`${key} is a ${found}, not a ${kind}`)
  }
  await Promise.all(Array.from(kinds, ([key, kind]) => look(key, kind)))
  if (wrong.length === 0) return isRefused ? undefined : ok('queue-keys', 'each key of the queue is of its type')
  const moves = wrong.map((one) => one.split(' ')[0]).map((key) => `RENAME ${key} ${key}:not-ours`)
  return finding('error', 'queue-keys', {
    what: `somebody else has written keys of the queue: ${wrong.join('; ')}`,
    meaning:
      'Redis refuses every script that touches such a key (WRONGTYPE): checks are not added, fetched or finished.',
    fix: [
      '# find out who writes them, and move them out of the way; the next sweep adds the checks that are missing',
      ...moves,
    ],
  })
}
