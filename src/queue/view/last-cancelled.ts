import type { CancelledOrder } from '../../observe/vitals.ts'
import { readJson } from '../../runtime/json.ts'
import type { OpenQueue } from '../check-queue.ts'
import { type FinishedCheck, jobIdOf } from '../contract.ts'
import { orderIdOf } from '../foreign-jobs.ts'
import { parseSweepNotes } from '../sweep-notes.ts'
import { isFinishedCheck } from './check-facts.ts'

/** A decision with its evidence. */
type Decided = FinishedCheck & CancelledOrder

/** Finished checks, and swept orders, that are looked through: most shops cancel one order of ten or more. */
const LOOKED_THROUGH = 100

/** The orders that checks and sweeps have cancelled last, the latest first. @throws ioredis' error */
export async function readLastCancelled(open: OpenQueue, most: number): Promise<Decided[]> {
  const [checked, swept] = await Promise.all([readChecked(open), readSwept(open)])
  return [...checked, ...swept]
    .filter(({ outcome }) => outcome === 'cancelled')
    .sort((a, b) => Date.parse(b.decidedAt) - Date.parse(a.decidedAt))
    .slice(0, most)
}

async function readChecked({ redis, keys }: OpenQueue): Promise<Decided[]> {
  const jobIds = await redis.zrevrange(keys.completed, 0, LOOKED_THROUGH - 1)
  const pipeline = redis.pipeline()
  for (const jobId of jobIds) pipeline.hmget(keys.job(jobId), 'data', 'returnvalue')
  const jobs = (await pipeline.exec()) ?? []
  return jobIds.flatMap((jobId, index): Decided[] => {
    const [error, fields] = jobs[index] as [Error | null, (string | null)[]]
    const [data, finished] = error ? [] : fields.map(readJson)
    const orderId = orderIdOf(data)
    if (orderId === undefined || !isFinishedCheck(finished)) return []
    return [{ ...finished, orderId, by: 'check', ...(jobId !== jobIdOf(orderId) && { jobId }) }]
  })
}

async function readSwept({ redis, keys }: OpenQueue): Promise<Decided[]> {
  const orderIds = await redis.zrevrange(keys.sweptAt, 0, LOOKED_THROUGH - 1)
  const lines = orderIds.length > 0 ? await redis.hmget(keys.swept, ...orderIds) : []
  return orderIds.flatMap((orderId, index) =>
    parseSweepNotes(lines[index] ?? null).flatMap((note): Decided[] =>
      'outcome' in note ? [{ ...note, orderId, by: 'sweep' }] : [],
    ),
  )
}
