import type { Job } from 'bullmq'
import { deadlineOf, type FinishedCheck, type JobData } from '../contract.ts'

/** The check of an order, as its job has it. */
export interface FoundCheck {
  jobId: string
  /** `waiting` for its deadline, `due` and about to be looked at, `checking` now, `finished`, or `failed` for good. */
  state: 'waiting' | 'due' | 'checking' | 'finished' | 'failed'
  deadline?: Date
  /** When it was added. */
  scheduledAt: Date
  attempts: number
  failedReason?: string
  finished?: FinishedCheck
}

const STATES: Record<string, FoundCheck['state']> = {
  delayed: 'waiting',
  active: 'checking',
  completed: 'finished',
  failed: 'failed',
}

/** What a job says of its order's check. */
export function describeJob(job: Job<JobData>, state: string): FoundCheck {
  const deadline = deadlineOf(job.data)
  return {
    jobId: job.id as string,
    state: STATES[state] ?? 'due',
    ...(deadline !== undefined && { deadline: new Date(deadline) }),
    scheduledAt: new Date(job.timestamp),
    attempts: job.attemptsMade,
    ...(job.failedReason && { failedReason: job.failedReason }),
    ...(isFinishedCheck(job.returnvalue) && { finished: job.returnvalue }),
  }
}

/** Somebody else's worker may have written something else there. */
function isFinishedCheck(value: unknown): value is FinishedCheck {
  const { outcome, deadline, decidedAt, decidedBy } = (value ?? {}) as Partial<FinishedCheck>
  return (
    ['cancelled', 'kept', 'missing'].includes(outcome ?? '') &&
    !Number.isNaN(Date.parse(deadline ?? '')) &&
    !Number.isNaN(Date.parse(decidedAt ?? '')) &&
    typeof decidedBy === 'string'
  )
}
