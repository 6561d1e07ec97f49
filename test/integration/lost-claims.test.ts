import { expect, test } from '@jest/globals'
import { type RedisQueueBackend, Worker } from 'bullmq'
import { openClaims } from '../../src/queue/worker/open-claims.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { closing } from '../helpers/closing.ts'
import { addDue } from '../helpers/pump.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

test.each(['auto', 'wrapped'] as const)(
  'a claim whose answer was lost brings its jobs again, for as long as any other: %s',
  async (kind) => {
    const raw = new RawQueue()
    closing.push(() => raw.close())
    const worker = new Worker(raw.name, null, { connection: raw.redis, autorun: false })
    closing.push(() => worker.close())
    const client = await (worker.getBackend() as RedisQueueBackend).client
    const queue = namedQueue({ name: raw.name })
    const { claims } = openClaims({ client, queue, workerId: 'w', lockMs: 15_000, kind })
    await addDue(raw, 3)

    const asked = { token: 'w:1', most: 2, mostLast: 0 }
    const lost = await claims.claim(asked)
    const ids = lost.jobs.map(({ id }) => id).sort()
    expect(ids).toEqual(['job-1', 'job-2'])
    for (const id of ids) await raw.redis.pexpire(queue.keys.jobLock(id), 500)

    const again = await claims.claim(asked)
    expect(again.jobs.map(({ id }) => id).sort()).toEqual(ids)
    for (const id of ids) expect(await raw.redis.pttl(queue.keys.jobLock(id))).toBeGreaterThan(10_000)
  },
)
