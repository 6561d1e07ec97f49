import type { Redis } from 'ioredis'
import type { QueueKeys } from '../../redis/keys.ts'

/** A job in the failed set. */
export interface FailedJob {
  jobId: string
  /** Why it failed, as the worker wrote it; undefined if the job has been removed or was never given a reason. */
  failedReason: string | undefined
  /** The job's data as JSON, if it was asked for. */
  data: string | undefined
  /** Somebody else has taken it out of the set before its reason could be read, and the reason with it. */
  isGone: boolean
}

interface Member {
  jobId: string
  /** As Redis writes it, so that nothing is lost by reading it as a number. */
  score: string
}

/** Few enough that Redis serves workers in between, and that a page is small in memory whatever is on its jobs. */
export const FAILED_PAGE = 250

/**
 * The failed set of a queue, walked while others add to it and take from it: all that is in it at the beginning comes
 * exactly once, unless somebody takes it away before.
 *
 * BullMQ orders the set by the time of the failure. The walk goes from the oldest to the one that was the newest at its
 * beginning, by what that one's time is and not by a clock of ours: workers' clocks are not all right.
 */
export class FailedSet {
  readonly #redis: Redis
  readonly #key: string
  readonly #keyOf: (jobId: string) => string

  constructor(options: { redis: Redis; keys: QueueKeys }) {
    this.#redis = options.redis
    this.#key = options.keys.failed
    this.#keyOf = options.keys.job
  }

  /** How many jobs there are. */
  async count(): Promise<number> {
    return this.#redis.zcard(this.#key)
  }

  /** @param options.withData also read what is on the jobs, which can be much */
  async *pages(options: { withData: boolean }): AsyncGenerator<FailedJob[]> {
    const newest = (await this.#redis.zrevrange(this.#key, 0, 0, 'WITHSCORES'))[1]
    if (newest === undefined) return
    let after: (Member & { offset: number }) | undefined
    for (;;) {
      const page = await this.#pageAfter(after, newest)
      const last = page.members.at(-1)
      if (!last) return
      yield await this.#read(page.members, options.withData)
      after = { ...last, offset: page.nextOffset }
    }
  }

  /**
   * The next members after one, which may itself be gone. Many can have failed in the same millisecond; Redis orders those
   * by the bytes of their ids, and can only be asked to leave out a number of them, not those up to an id.
   */
  async #pageAfter(
    after: (Member & { offset: number }) | undefined,
    newest: string,
  ): Promise<{ members: Member[]; nextOffset: number }> {
    const from = after?.score ?? '-inf'
    let offset = after?.offset ?? 0
    for (;;) {
      const found = await this.#range({ from, to: newest, offset })
      const members = after ? found.filter((member) => isAfter(member, after)) : found
      // Unless one that we know stands before them, some may have moved up to where we do not look.
      if (offset > 0 && members.length === found.length) {
        offset = Math.max(0, offset - FAILED_PAGE)
        continue
      }
      if (members.length > 0 || found.length < FAILED_PAGE) {
        const score = found.at(-1)?.score
        const alike = found.filter((member) => member.score === score).length
        return { members, nextOffset: (score === from ? offset : 0) + Math.max(0, alike - 1) }
      }
      offset += FAILED_PAGE - 1
    }
  }

  async #range(options: { from: string; to: string; offset: number }): Promise<Member[]> {
    const { from, to, offset } = options
    const flat = await this.#redis.zrangebyscore(this.#key, from, to, 'WITHSCORES', 'LIMIT', offset, FAILED_PAGE)
    const members: Member[] = []
    for (let n = 0; n < flat.length; n += 2) members.push({ jobId: flat[n] as string, score: flat[n + 1] as string })
    return members
  }

  async #read(members: readonly Member[], withData: boolean): Promise<FailedJob[]> {
    const pipeline = this.#redis.pipeline()
    for (const { jobId } of members) {
      pipeline.hmget(this.#keyOf(jobId), 'failedReason', ...(withData ? ['data'] : []))
    }
    const replies = (await pipeline.exec()) ?? []
    const jobs = members.map(({ jobId }, index) => {
      const [error, fields] = replies[index] ?? []
      if (error) throw error
      const [failedReason, data] = (fields ?? []) as (string | null)[]
      return { jobId, failedReason: failedReason ?? undefined, data: data ?? undefined }
    })
    const gone = await this.#goneOf(members.filter((_, index) => jobs[index]?.failedReason === undefined))
    return jobs.map((job) => ({ ...job, isGone: gone.has(job.jobId) }))
  }

  /** Those that are no longer in the set, or have come back to it since. */
  async #goneOf(members: readonly Member[]): Promise<Set<string>> {
    const pipeline = this.#redis.pipeline()
    for (const { jobId } of members) pipeline.zscore(this.#key, jobId)
    const replies = members.length > 0 ? ((await pipeline.exec()) ?? []) : []
    const gone = members.filter(({ score }, index) => {
      const [error, now] = replies[index] ?? []
      if (error) throw error
      return now !== score
    })
    return new Set(gone.map(({ jobId }) => jobId))
  }
}

function isAfter(member: Member, other: Member): boolean {
  if (member.score !== other.score) return Number(member.score) > Number(other.score)
  return Buffer.compare(Buffer.from(member.jobId), Buffer.from(other.jobId)) > 0
}
