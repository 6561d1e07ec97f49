import { expect, test } from '@jest/globals'
import { failedPages } from '../../src/queue/replay/failed-set.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { closing } from '../helpers/closing.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

test('a job that somebody else takes out of the set before it is read is gone, one without a reason is not', async () => {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const { redis, queue } = raw
  const key = (name: string) => queue.toKey(name)
  const { keys } = namedQueue({ name: raw.name })
  for (const [score, jobId] of ['stays', 'moved', 'back', 'blank'].entries()) {
    await redis.zadd(key('failed'), score, jobId)
    if (jobId !== 'blank') await redis.hset(key(jobId), 'failedReason', 'STORE_REJECTED: for a test')
  }
  // Between the ids and their reasons.
  const scan = redis.zscan.bind(redis) as (...args: unknown[]) => Promise<[string, string[]]>
  redis.zscan = (async (...args: unknown[]) => {
    const found = await scan(...args)
    await redis.hdel(key('moved'), 'failedReason')
    await redis.zrem(key('failed'), 'moved')
    await redis.hdel(key('back'), 'failedReason')
    await redis.zadd(key('failed'), 100, 'back')
    return found
  }) as typeof redis.zscan
  const seen: unknown[] = []
  for await (const page of failedPages({ redis, keys, withData: false })) {
    seen.push(...page.map(({ jobId, failedReason, isGone }) => [jobId, failedReason !== undefined, isGone]))
  }
  expect(seen).toEqual([
    ['stays', true, false],
    ['moved', false, true],
    ['back', false, true],
    ['blank', false, false],
  ])
})
