import { Job, type RedisQueueBackend, type RepeatOptions, type Worker } from 'bullmq'
import { stoppingFieldsOf } from './claimed-job.ts'
import type { ClaimedJob } from './claims.ts'

/**
 * What some claimed jobs need before they are checked: fields removed that would keep them from ending, and the next repetition
 * of their scheduler, which BullMQ adds when one begins.
 *
 * @returns undefined for all other jobs
 */
export function createPreparation(worker: Worker): (job: ClaimedJob) => Promise<void> | undefined {
  return (job) => {
    const stopping = stoppingFieldsOf(job)
    if (stopping.length === 0 && job.fields?.rjk === undefined) return undefined
    return prepare(job, stopping)
  }

  async function prepare(job: ClaimedJob, stopping: readonly string[]): Promise<void> {
    const { id, fields = {} } = job
    const backend = worker.getBackend() as RedisQueueBackend
    if (stopping.length > 0) await (await backend.client).hdel(worker.toKey(id), ...stopping)
    if (fields.rjk !== undefined) await addNextRepetition(id, fields.rjk)
  }

  async function addNextRepetition(id: string, key: string): Promise<void> {
    const scheduler = await worker.jobScheduler
    if (!(await scheduler.isJobScheduler(key))) return // a repetition of BullMQ 5, or of a scheduler that is gone
    const job = await Job.fromId(worker, id)
    if (!job) return
    const { name, data, opts } = job
    const { repeat } = opts as { repeat: RepeatOptions }
    await scheduler.upsertJobScheduler(key, repeat, name, data, opts, { override: false, producerId: id })
  }
}
