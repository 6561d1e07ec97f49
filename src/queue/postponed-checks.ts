import type { Redis } from 'ioredis'
import type { QueueKeys } from '../redis/keys.ts'
import { timeOf } from '../redis/time.ts'
import { scoreOf } from './due-score.ts'

/** One script takes a millisecond or two, during which Redis serves nobody else. */
const JOBS_IN_ONE_SCRIPT = 1_000

/**
 * Makes the jobs due that a worker has started before.
 *
 * KEYS: BullMQ's sorted set of delayed jobs, and that which a sleeping worker waits at
 * ARGV: the beginning of the keys of jobs; the score that is due; the score up to which to look; how many to skip, and to look at
 * Returns {how many were looked at, how many are due now}.
 */
const MAKE_POSTPONED_DUE = `
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[2], ARGV[3], 'LIMIT', ARGV[4], ARGV[5])
local due = 0
for _, id in ipairs(ids) do
  if tonumber(redis.call('HGET', ARGV[1] .. id, 'ats') or 0) > 0 then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[2], id)
    due = due + 1
  end
end
if due > 0 then redis.call('ZADD', KEYS[2], 0, '0') end
return {#ids, due}
`

/**
 * Makes every check due that was postponed and would come within this time: after the clock of Redis was set back by as much, a
 * check that was postponed before would come that much late. One that is looked at too early is only postponed again.
 */
export async function makePostponedDue(options: {
  redis: Redis
  keys: Pick<QueueKeys, 'delayed' | 'marker' | 'job'>
  withinMs: number
}): Promise<void> {
  const { redis, keys, withinMs } = options
  const now = Math.floor(await timeOf(redis))
  const scores = [scoreOf(now), scoreOf(now + withinMs)]
  let skip = 0
  for (;;) {
    const args = [keys.job(''), ...scores, skip, JOBS_IN_ONE_SCRIPT]
    const answer = await redis.eval(MAKE_POSTPONED_DUE, 2, keys.delayed, keys.marker, ...args)
    const [seen, due] = answer as [number, number]
    if (seen < JOBS_IN_ONE_SCRIPT) return
    skip += seen - due // those made due are no longer in the range
  }
}
