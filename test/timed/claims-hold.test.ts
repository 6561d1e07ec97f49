import { expect, test } from '@jest/globals'
import { JOB_NAME } from '../../src/queue/contract.ts'
import { ClaimsUnderTest, idsOf } from '../contract/claims-under-test.ts'

const BATCH = 250
const RUNS = 5

/** With room for a noisy machine. */
const MOST_MICROS = 10_000

test.each(['auto', 'wrapped'] as const)(
  'a batch of the default size does not hold Redis for long: %s',
  async (kind) => {
    const under = await ClaimsUnderTest.open({ kind })
    const { redis } = under
    /** How long the script has held Redis, in microseconds. */
    async function held(work: () => Promise<unknown>): Promise<number> {
      await redis.slowlog('RESET')
      await work()
      const entries = (await redis.slowlog('GET', -1)) as [id: number, at: number, us: number, command: string[]][]
      return Math.max(...entries.filter(([, , , [name = '']]) => /^eval/i.test(name)).map(([, , us]) => us))
    }
    try {
      await redis.config('SET', 'slowlog-log-slower-than', 0)
      await redis.config('SET', 'slowlog-max-len', 100_000)
      const opts = { timestamp: Date.now() - 60_000, delay: 59_000 }
      // Others wait and are active besides, as in a burst.
      const ids = Array.from(
        { length: (RUNS + 4) * BATCH },
        (_, n) => `4f0c8e0a-0000-4000-8000-${`${n}`.padStart(12, '0')}`,
      )
      await under.queue.addBulk(
        ids.map((jobId) => ({ name: JOB_NAME, data: { orderId: jobId }, opts: { jobId, ...opts } })),
      )
      for (const token of ['a', 'b', 'c']) await under.claim(token, { most: BATCH })
      const times: Record<'claim' | 'put back' | 'complete', number[]> = { claim: [], 'put back': [], complete: [] }
      for (let run = 0; run < RUNS; run++) {
        let claimed: string[] = []
        const claim = async () => {
          claimed = idsOf(await under.claim(`t${run}`, { most: BATCH }))
        }
        times.claim.push(await held(claim))
        const how = { dueAt: Date.now() - 1, priority: 0, note: 'put back' }
        const back = claimed.map((id) => ({ id, data: JSON.stringify({ orderId: id }), ...how }))
        times['put back'].push(await held(() => under.claims.putBack(`t${run}`, back)))
        claimed = idsOf(await under.claim(`u${run}`, { most: BATCH }))
        times.complete.push(await held(() => under.complete(`u${run}`, ...claimed)))
      }
      const medians = Object.entries(times).map(
        ([what, us]) => [what, us.toSorted((a, b) => a - b)[2] as number] as const,
      )
      expect(medians.filter(([, us]) => us > MOST_MICROS)).toEqual([])
    } finally {
      await redis.config('SET', 'slowlog-log-slower-than', 10_000)
      await under.close()
    }
  },
)
