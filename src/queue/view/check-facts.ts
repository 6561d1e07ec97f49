import type { OpenQueue } from '../check-queue.ts'
import { type FinishedCheck, jobIdOf } from '../contract.ts'
import { dueAtOf } from '../jobs.ts'
import { type CheckNote, parseNote } from './check-notes.ts'
import { describeJob, type FoundCheck } from './describe-job.ts'

/** What the queue still knows of an order's check. Times are epoch milliseconds. */
export interface CheckFacts {
  state: FoundCheck['state']
  scheduledAt: number
  scheduledBy?: string
  deadline?: number
  /** When it comes next. */
  dueAt?: number
  /** When it was last begun, and ended. */
  startedAt?: number
  finishedAt?: number
  /** How often it was begun. */
  starts: number
  failedReason?: string
  finished?: FinishedCheck
  /** What was written down on the way: postponements, errors, moved deadlines. */
  notes: CheckNote[]
}

/**
 * What the queue still knows of the check of an order. Undefined: nothing, or the job is of another order.
 *
 * @throws what ioredis says
 */
export async function readCheckFacts(
  { queue, redis, keys }: OpenQueue,
  { orderId, jobId }: { orderId: string; jobId: string },
): Promise<CheckFacts | undefined> {
  const [job, state, score, { logs }] = await Promise.all([
    queue.getJob(jobId),
    queue.getJobState(jobId),
    redis.zscore(keys.delayed, jobId),
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
