import type { CheckFacts } from '../../explain/story.ts'
import type { OpenQueue } from '../check-queue.ts'
import { jobIdOf } from '../contract.ts'
import { describeJob, dueAtOf } from '../jobs.ts'
import { parseNote } from './check-notes.ts'

/**
 * What the queue still knows of the check of an order. Undefined: nothing, or the job is of another order.
 *
 * @throws what ioredis says
 */
export async function readCheckFacts(
  { queue, redis }: OpenQueue,
  { orderId, jobId }: { orderId: string; jobId: string },
): Promise<CheckFacts | undefined> {
  const [job, state, score, { logs }] = await Promise.all([
    queue.getJob(jobId),
    queue.getJobState(jobId),
    redis.zscore(queue.toKey('delayed'), jobId),
    queue.getJobLogs(jobId),
  ])
  if (!job) return undefined
  const { deadline, state: known, failedReason, finished } = describeJob(job, state)
  const { by, orderId: isOf } = (job.data ?? {}) as { by?: unknown; orderId?: unknown }
  if (jobId !== jobIdOf(orderId) && String(isOf) !== orderId) return undefined
  return {
    state: known,
    scheduledAt: job.timestamp,
    ...(typeof by === 'string' && { scheduledBy: by }),
    ...(deadline && { deadline: deadline.getTime() }),
    ...(score !== null && { dueAt: dueAtOf(Number(score)) }),
    ...(job.processedOn !== undefined && { startedAt: job.processedOn }),
    ...(job.finishedOn !== undefined && { finishedAt: job.finishedOn }),
    starts: job.attemptsStarted,
    ...(failedReason && { failedReason }),
    ...(finished && { finished }),
    notes: logs.map(parseNote),
  }
}
