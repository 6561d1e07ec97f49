import type { OpenQueue } from '../check-queue.ts'
import { type FinishedCheck, jobIdOf } from '../contract.ts'
import { orderIdOf } from '../foreign-jobs.ts'
import { parseSweepNotes } from '../sweep-notes.ts'
import { isFinishedCheck } from './check-facts.ts'

/** A cancellation with its evidence. */
export interface CancelledOrder extends FinishedCheck {
  orderId: string
  by: 'check' | 'sweep'
  /** Of its check, if that has another id than ours. */
  jobId?: string
}

/** Finished checks, and swept orders, that are looked through: most shops cancel one order of ten or more. */
const LOOKED_THROUGH = 100

/** The orders that checks and sweeps have cancelled last, the latest first. @throws ioredis' error */
export async function readLastCancelled(open: OpenQueue, most: number): Promise<CancelledOrder[]> {
  const [checked, swept] = await Promise.all([readChecked(open), readSwept(open)])
  return [...checked, ...swept]
    .filter(({ outcome }) => outcome === 'cancelled')
    .sort((a, b) => Date.parse(b.decidedAt) - Date.parse(a.decidedAt))
    .slice(0, most)
}

async function readChecked({ redis, keys }: OpenQueue): Promise<CancelledOrder[]> {
  const jobIds = await redis.zrevrange(keys.completed, 0, LOOKED_THROUGH - 1)
  const pipeline = redis.pipeline()
  for (const jobId of jobIds) pipeline.hmget(keys.job(jobId), 'data', 'returnvalue')
  const jobs = (await pipeline.exec()) ?? []
  return jobIds.flatMap((jobId, index): CancelledOrder[] => {
    const [error, fields] = jobs[index] as [Error | null, (string | null)[]]
    const [data, finished] = error ? [] : fields.map(parse)
    const orderId = orderIdOf(data)
    if (orderId === undefined || !isFinishedCheck(finished)) return []
    return [{ ...finished, orderId, by: 'check', ...(jobId !== jobIdOf(orderId) && { jobId }) }]
  })
}

async function readSwept({ redis, keys }: OpenQueue): Promise<CancelledOrder[]> {
  const orderIds = await redis.zrevrange(keys.sweptAt, 0, LOOKED_THROUGH - 1)
  const lines = orderIds.length > 0 ? await redis.hmget(keys.swept, ...orderIds) : []
  return orderIds.flatMap((orderId, index) =>
    parseSweepNotes(lines[index] ?? null).flatMap((note): CancelledOrder[] =>
      'outcome' in note ? [{ ...note, orderId, by: 'sweep' }] : [],
    ),
  )
}

/** Somebody else may have written anything there. */
function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null')
  } catch {
    return undefined
  }
}
