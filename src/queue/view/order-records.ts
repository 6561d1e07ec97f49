import { redisErrorCode } from '../../redis/reply.ts'
import { readJson } from '../../runtime/json.ts'
import type { OpenQueue } from '../check-queue.ts'
import { jobIdOf } from '../contract.ts'
import { scoreOf } from '../due-score.ts'
import { foreignJobsOf, orderIdOf } from '../foreign-jobs.ts'
import { parseSweepNotes, type SweepNote } from '../sweep-notes.ts'
import { type CheckFacts, readCheckFacts } from './check-facts.ts'

/** All that the queue knows of one order. */
export interface OrderRecords {
  /** The one under our id first, if there is one. */
  checks: CheckFacts[]
  /** What sweeps did with the order, the oldest first. */
  swept: SweepNote[]
  /** Nothing was known of a job of the order, so some jobs of the queue were looked at, `of` all of them. */
  looked?: { jobs: number; of: number }
}

/** Jobs of each state that are looked at: those that begin next, and those that ended last. */
const JOBS_LOOKED_AT = 250
/** A job comes at the deadline of its order, give or take the time that it took to add it. */
const AROUND_DEADLINE_MS = 5_000
const JOBS_BEFORE_DEADLINE = 500
const JOBS_FROM_DEADLINE = 500
/** @param options.jobId of another job that may be the order's. @throws ioredis' error */
export async function readOrderRecords(
  open: OpenQueue,
  { orderId, jobId }: { orderId: string; jobId?: string | undefined },
): Promise<OrderRecords> {
  const { redis, keys } = open
  const [foreign, lines] = await Promise.all([foreignJobsOf(open, orderId), redis.hget(keys.swept, orderId)])
  const jobIds = [jobIdOf(orderId), ...(jobId === undefined ? [] : [jobId]), ...foreign]
  return { checks: await readChecks(open, { orderId, jobIds }), swept: parseSweepNotes(lines) }
}

/**
 * Looks for jobs of the order where no worker has seen one: at those due around its deadline, if that is known, and at some
 * of each state. Bounded, however many jobs there are.
 *
 * @throws ioredis' error
 */
export async function lookForChecks(
  open: OpenQueue,
  { orderId, deadline }: { orderId: string; deadline?: number | undefined },
): Promise<Required<Pick<OrderRecords, 'checks' | 'looked'>>> {
  const { near, others, of } = await readJobIds(open, deadline)
  let jobIds = await thoseOf(open, { orderId, ids: near })
  if (jobIds.length === 0) jobIds = await thoseOf(open, { orderId, ids: others })
  return {
    checks: await readChecks(open, { orderId, jobIds }),
    looked: { jobs: new Set([...near, ...others]).size, of },
  }
}

async function thoseOf(
  { redis, keys }: OpenQueue,
  { orderId, ids }: { orderId: string; ids: readonly string[] },
): Promise<string[]> {
  const pipeline = redis.pipeline()
  for (const id of ids) pipeline.hget(keys.job(id), 'data')
  const replies = (await pipeline.exec()) ?? []
  return ids.filter((_, index) => orderIdOf(readJson(replies[index]?.[1])) === orderId)
}

async function readChecks(
  open: OpenQueue,
  { orderId, jobIds }: { orderId: string; jobIds: readonly string[] },
): Promise<CheckFacts[]> {
  const found = await Promise.all(
    [...new Set(jobIds)].map((jobId) =>
      readCheckFacts(open, { orderId, jobId }).catch((error) => {
        if (redisErrorCode(error) === 'WRONGTYPE') return undefined // some other key of the queue
        throw error
      }),
    ),
  )
  return found.filter((check) => check !== undefined)
}

/** The ids of jobs worth a look: those due around the deadline, the nearest on both sides, and others. `of`: how many jobs there are. */
async function readJobIds(
  { redis, keys }: OpenQueue,
  deadline: number | undefined,
): Promise<{ near: string[]; others: string[]; of: number }> {
  const { delayed, prioritized, failed, completed, wait, paused, active } = keys
  const last = JOBS_LOOKED_AT - 1
  const pipeline = redis.pipeline()
  for (const set of [delayed, prioritized, failed, completed]) pipeline.zcard(set)
  for (const list of [wait, paused, active]) pipeline.llen(list)
  const counted = pipeline.length
  pipeline
    .zrange(delayed, '0', `${last}`)
    .zrange(prioritized, '0', `${last}`)
    .zrevrange(failed, 0, last)
    .zrevrange(completed, 0, last)
  pipeline.lrange(wait, -JOBS_LOOKED_AT, -1).lrange(paused, -JOBS_LOOKED_AT, -1).lrange(active, 0, last)
  const listed = pipeline.length
  if (deadline !== undefined) {
    const [from, at, to] = [-AROUND_DEADLINE_MS, 0, AROUND_DEADLINE_MS].map((ms) => scoreOf(deadline + ms))
    pipeline.zrangebyscore(delayed, `${at}`, `${to}`, 'LIMIT', 0, JOBS_FROM_DEADLINE)
    pipeline.zrevrangebyscore(delayed, `(${at}`, `${from}`, 'LIMIT', 0, JOBS_BEFORE_DEADLINE)
  }
  const replies = ((await pipeline.exec()) ?? []).map(([error, reply]) => {
    if (error) throw error
    return reply
  })
  const of = (replies.slice(0, counted) as number[]).reduce((sum, count) => sum + count, 0)
  const idsOf = (some: unknown[]) => [...new Set((some as string[][]).flat())]
  return { near: idsOf(replies.slice(listed)), others: idsOf(replies.slice(counted, listed)), of }
}
