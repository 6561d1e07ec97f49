import type { OpenQueue } from '../check-queue.ts'

/** A job in the failed set. */
export interface FailedJob {
  jobId: string
  /** Undefined if the job has been removed or was never given a reason. */
  failedReason: string | undefined
  /** The job's data as JSON, if it was asked for. */
  data: string | undefined
  /** Somebody else has taken it out of the set since the beginning, even if it has failed again after that. */
  isGone: boolean
}

/** @property withData also read what is on the jobs, which can be large */
type FailedSet = Pick<OpenQueue, 'redis' | 'keys'> & { withData: boolean }

/** A job and when it failed: BullMQ orders the set by that. */
type Member = [jobId: string, failedAt: number]

/** Few enough that Redis serves workers in between, and that a page is small in memory whatever is on its jobs. */
const JOBS_IN_A_PAGE = 250
const IDS_IN_A_CALL = 1_000

/**
 * The jobs that are in the failed set at the beginning, oldest first: each comes exactly once, while others add to the set
 * and take from it. The ids are read before the first page: about 10 MB for the 100,000 jobs that a worker keeps.
 */
export async function* failedPages(set: FailedSet): AsyncGenerator<FailedJob[]> {
  const members = await readMembers(set)
  for (let start = 0; start < members.length; start += JOBS_IN_A_PAGE) {
    yield await readJobs(set, members.slice(start, start + JOBS_IN_A_PAGE))
  }
}

/** A scan finds whatever stays in the set, once or more often. Whatever failed after the newest at the start is dropped. */
async function readMembers({ redis, keys }: FailedSet): Promise<Member[]> {
  const newest = Number((await redis.zrevrange(keys.failed, 0, 0, 'WITHSCORES'))[1])
  const failedAt = new Map<string, number>()
  let cursor = '0'
  do {
    const [next, flat] = await redis.zscan(keys.failed, cursor, 'COUNT', IDS_IN_A_CALL)
    for (let n = 0; n < flat.length; n += 2) failedAt.set(flat[n] as string, Number(flat[n + 1]))
    cursor = next
  } while (cursor !== '0')
  return [...failedAt].filter(([, at]) => at <= newest).sort(([, a], [, b]) => a - b)
}

function readJobs({ redis, keys, withData }: FailedSet, members: readonly Member[]): Promise<FailedJob[]> {
  const fields = ['failedReason', ...(withData ? ['data'] : [])]
  return Promise.all(
    members.map(async ([jobId, failedAt]) => {
      const [[failedReason, data], score] = await Promise.all([
        redis.hmget(keys.job(jobId), ...fields),
        // After the reason: a job that is still there then has had it, if it has one.
        redis.zscore(keys.failed, jobId),
      ])
      const isGone = score === null || Number(score) !== failedAt
      return { jobId, failedReason: failedReason ?? undefined, data: data ?? undefined, isGone }
    }),
  )
}
