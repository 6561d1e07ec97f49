import { Job, type JobType, Queue } from 'bullmq'
import { redisErrorCode } from '../redis/reply.ts'
import type { JobData } from './contract.ts'
import { UnreadableData, whyUnreadable } from './unreadable-data.ts'

/**
 * BullMQ's queue, which cannot read a job whose data, options or key are not what BullMQ writes: one such job would keep the
 * others on its page from being seen. Here it is a job like any other, with {@link UnreadableData}.
 */
export class ReadableQueue extends Queue<JobData> {
  override async getJob(jobId: string): Promise<Job<JobData> | undefined> {
    try {
      return await super.getJob(jobId)
    } catch (error) {
      if (isUnreadable(error)) return this.#readAnyway(jobId)
      throw error
    }
  }

  /** BullMQ reads the jobs together with their ids, and none at all where one of the keys is no job. */
  override async getJobs(types?: JobType | JobType[], start = 0, end = -1, asc = false): Promise<Job<JobData>[]> {
    try {
      return await super.getJobs(types, start, end, asc)
    } catch (error) {
      if (redisErrorCode(error) !== 'WRONGTYPE') throw error
      const ids = await this.getRanges(typeof types === 'string' ? [types] : (types ?? []), start, end, asc)
      const jobs = await Promise.all(ids.map((id) => this.getJob(id)))
      return jobs.filter((job) => job !== undefined)
    }
  }

  async #readAnyway(jobId: string): Promise<Job<JobData> | undefined> {
    const fields = await this.#fieldsOf(jobId)
    if (fields && Object.keys(fields).length === 0) return undefined
    const { name = '', data, timestamp, delay, processedOn, finishedOn, failedReason, ats, atm, pb } = fields ?? {}
    const unreadable = new UnreadableData({ why: whyUnreadable(fields), text: data })
    return Object.assign(new Job<JobData>(this, name, unreadable as never, {}, jobId), {
      timestamp: Number(timestamp) || 0,
      delay: Number(delay) || 0,
      attemptsStarted: Number(ats) || 0,
      attemptsMade: Number(atm) || 0,
      ...(Number(processedOn) && { processedOn: Number(processedOn) }),
      ...(Number(finishedOn) && { finishedOn: Number(finishedOn) }),
      ...(failedReason && { failedReason }),
      ...(pb && { processedBy: pb }),
    })
  }

  /** Undefined where the key holds something else than a job. */
  async #fieldsOf(jobId: string): Promise<Record<string, string> | undefined> {
    const { client } = this.getBackend()
    try {
      return await (await client).hgetall(this.toKey(jobId))
    } catch (error) {
      if (redisErrorCode(error) === 'WRONGTYPE') return undefined
      throw error
    }
  }
}

/** What BullMQ's own reading of a job fails with, and not the connection. */
function isUnreadable(error: unknown): boolean {
  const { name } = error as Error
  return name === 'SyntaxError' || name === 'TypeError' || redisErrorCode(error) === 'WRONGTYPE'
}
