import type { Job } from 'bullmq'
import type { OpenQueue } from '../check-queue.ts'
import { deadlineOf, type FinishedCheck, type JobData, jobIdOf } from '../contract.ts'
import { dueAtOf } from '../due-score.ts'
import { orderIdOf } from '../foreign-jobs.ts'
import { UnreadableData } from '../unreadable-data.ts'
import { type CheckNote, parseNote } from './check-notes.ts'

/** The check of an order, as its job has it. */
export interface FoundCheck {
  jobId: string
  /** `waiting` for its deadline, `due` and about to begin, `checking` now, `finished`, or `failed` for good. */
  state: 'waiting' | 'due' | 'checking' | 'finished' | 'failed'
  deadline?: Date
  /** When it was added. */
  scheduledAt: Date
  attempts: number
  failedReason?: string
  finished?: FinishedCheck
}

/** What the queue still knows of an order's check. Times are epoch milliseconds. */
export interface CheckFacts extends Pick<FoundCheck, 'jobId' | 'state' | 'attempts' | 'failedReason' | 'finished'> {
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

/** By BullMQ's names. */
const STATES: Record<string, FoundCheck['state']> = {
  delayed: 'waiting',
  active: 'checking',
  completed: 'finished',
  failed: 'failed',
}

/** What a job says about its order's check. */
export function describeJob(job: Job<JobData>, state: string): FoundCheck {
  const deadline = deadlineOf(job)
  return {
    jobId: job.id as string,
    state: STATES[state] ?? 'due',
    ...(deadline !== undefined && { deadline: new Date(deadline) }),
    scheduledAt: new Date(Number.isFinite(job.timestamp) ? job.timestamp : 0), // somebody else may have written it
    attempts: job.attemptsMade,
    ...(job.failedReason && { failedReason: job.failedReason }),
    ...(isFinishedCheck(job.returnvalue) && { finished: job.returnvalue }),
  }
}

/** Somebody else's worker may have written something else there. */
export function isFinishedCheck(value: unknown): value is FinishedCheck {
  const { outcome, deadline, decidedAt, decidedBy } = (value ?? {}) as Partial<FinishedCheck>
  const hasTimes = [deadline, decidedAt].every((time) => !Number.isNaN(Date.parse(time ?? '')))
  return hasTimes && ['cancelled', 'kept', 'missing'].includes(outcome ?? '') && typeof decidedBy === 'string'
}

/**
 * What the queue still knows of the check of an order. Undefined: nothing, or the job is of another order.
 *
 * @throws ioredis' error
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
  const { by } = (job.data ?? {}) as { by?: unknown }
  if (jobId !== jobIdOf(orderId) && orderIdOf(job.data) !== orderId) return undefined
  const { state, scheduledAt, deadline, attempts, failedReason, finished } = describeJob(job, jobState)
  return {
    jobId,
    state,
    attempts,
    scheduledAt: scheduledAt.getTime(),
    scheduledBy: typeof by === 'string' ? by : undefined,
    deadline: deadline?.getTime(),
    dueAt: score === null ? undefined : dueAtOf(Number(score)),
    startedAt: job.processedOn,
    finishedAt: job.finishedOn,
    starts: job.attemptsStarted,
    ...(failedReason && { failedReason }),
    ...(finished && { finished }),
    notes: [...notesOfUnreadable(job.data), ...logs.map(parseNote)],
  }
}

/** The same with other texts where another program may have written freely. */
export function replaceFreeTexts<Records extends { checks: CheckFacts[] }>(
  records: Records,
  { reason, note }: { reason: (text: string) => string; note: (note: CheckNote) => string },
): Records {
  const checks = records.checks.map(({ failedReason, ...check }) => ({
    ...check,
    ...(failedReason !== undefined && { failedReason: reason(failedReason) }),
    notes: check.notes.map((one) => ({ ...one, what: note(one) })),
  }))
  return { ...records, checks }
}

function notesOfUnreadable(data: unknown): CheckNote[] {
  if (!(data instanceof UnreadableData)) return []
  const what = `its check cannot be read, and fails with INVALID_JOB: ${data.unreadable}`
  return [{ at: undefined, code: 'CHECK_UNREADABLE', what }]
}

/** Of the checks of one order, the one that says most of it: that cancelled it, that is to come, that was given up. */
export function mainCheckOf(checks: readonly CheckFacts[]): CheckFacts | undefined {
  return (
    checks.find(({ finished }) => finished?.outcome === 'cancelled') ??
    checks.find(({ state }) => state !== 'finished' && state !== 'failed') ??
    checks.find(({ state }) => state === 'failed') ??
    checks[0]
  )
}

export function describeFacts(facts: CheckFacts): FoundCheck {
  const { jobId, state, deadline, scheduledAt, attempts, failedReason, finished } = facts
  return {
    jobId,
    state,
    ...(deadline !== undefined && { deadline: new Date(deadline) }),
    scheduledAt: new Date(scheduledAt),
    attempts,
    ...(failedReason !== undefined && { failedReason }),
    ...(finished && { finished }),
  }
}
