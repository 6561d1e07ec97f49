import type { OpenQueue } from '../check-queue.ts'
import { jobIdOf } from '../contract.ts'
import { dueAtOf } from '../due-score.ts'
import { type CheckNote, parseNote } from './check-notes.ts'
import { describeJob, type FoundCheck } from './describe-job.ts'

/** What the queue still knows of an order's check. Times are epoch milliseconds. */
export interface CheckFacts extends Pick<FoundCheck, 'state' | 'failedReason' | 'finished'> {
  scheduledAt: number
  scheduledBy?: string | undefined
  deadline?: number | undefined
  /** When it comes next. */
  dueAt?: number | undefined
  /** When it was last begun, and ended. */
  startedAt?: number | undefined
  finishedAt?: number | undefined
  /** How often it was begun. */
  starts: number
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
  const [job, jobState, score, { logs }] = await Promise.all([
    queue.getJob(jobId),
    queue.getJobState(jobId),
    redis.zscore(keys.delayed, jobId),
    queue.getJobLogs(jobId),
  ])
  if (!job) return undefined
  const { by, orderId: isOf } = (job.data ?? {}) as { by?: unknown; orderId?: unknown }
  if (jobId !== jobIdOf(orderId) && String(isOf) !== orderId) return undefined
  const { state, deadline, failedReason, finished } = describeJob(job, jobState)
  return {
    state,
    scheduledAt: job.timestamp,
    scheduledBy: typeof by === 'string' ? by : undefined,
    deadline: deadline?.getTime(),
    dueAt: score === null ? undefined : dueAtOf(Number(score)),
    startedAt: job.processedOn,
    finishedAt: job.finishedOn,
    starts: job.attemptsStarted,
    ...(failedReason && { failedReason }),
    ...(finished && { finished }),
    notes: logs.map(parseNote),
  }
}
