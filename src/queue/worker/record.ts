import { DelayedError, Job, UnrecoverableError, type Worker } from 'bullmq'
import type { OrderExpiryError } from '../../errors.ts'
import type { Step } from '../../order/next-step.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { FinishedCheck } from '../contract.ts'
import { NOTES_KEPT, noteOf } from '../view/check-notes.ts'

/** The last instant that a Date can hold. */
const LAST_DATE_MS = 8.64e15

/** A job that the worker has fetched, with the token of its lock. */
export interface FetchedJob {
  job: Job
  token: string | undefined
  worker: Worker
}

/**
 * Makes retention (`retention.ts`) and retries ours, whatever the producer wrote on the job: a change of policy must reach
 * the orders that wait already, and the evidence must stay.
 */
export function overridePolicy(job: Job, { maxAttempts }: { maxAttempts: number }): void {
  const policy = { removeOnComplete: undefined, removeOnFail: undefined, attempts: maxAttempts, backoff: undefined }
  Object.assign(job.opts, policy)
}

interface Recording {
  fetched: FetchedJob
  step: Step
  /** What the job says; the evidence shows it where the store keeps none. */
  deadline: number
  decidedBy: string
  clock: Clock
}

/** Does the step as BullMQ expects it of a processor: resolves to finish the job, and rejects for every other step. */
export async function record(options: Recording): Promise<FinishedCheck> {
  const { fetched, step, clock } = options
  const { job, token } = fetched
  switch (step.kind) {
    case 'finish':
      return describeOutcome(step.outcome, options)
    case 'postpone':
      note(options, `check postponed by ${step.delayMs} ms: ${step.why}`)
      await job.moveToDelayed(clock.now() + step.delayMs, token)
      await followReschedule(fetched, clock)
      throw new DelayedError()
    case 'retry':
      note(options, `check failed, again in ${step.delayMs} ms: ${step.error.code}`)
      job.opts.backoff = { type: 'fixed', delay: step.delayMs }
      throw new Error(messageOf(step.error), { cause: step.error })
    case 'give-up':
      return giveUp(step.error)
  }
}

/** The job fails for good, with the error as the reason. */
export function giveUp(error: OrderExpiryError): never {
  throw new UnrecoverableError(messageOf(error))
}

function messageOf({ code, message }: OrderExpiryError): string {
  return `${code}: ${message}`
}

function describeOutcome(
  { kind, evidence }: Extract<Step, { kind: 'finish' }>['outcome'],
  known: Pick<Recording, 'deadline' | 'decidedBy'>,
): FinishedCheck {
  const { status, paid, deadline = known.deadline, decidedAt } = evidence
  return {
    outcome: kind,
    ...(status !== undefined && { status }),
    ...(paid && { paid }),
    deadline: new Date(Math.min(deadline, LAST_DATE_MS)).toISOString(),
    decidedAt: new Date(decidedAt).toISOString(),
    decidedBy: known.decidedBy,
  }
}

/** Keeps a note on the job for whoever asks later. Nothing waits for it, and no check fails over it. */
function note({ fetched: { job, worker }, clock }: Recording, what: string): void {
  Job.addJobLog(worker, job.id as string, noteOf(clock.now(), what), NOTES_KEPT).catch(() => {})
}

/**
 * While a check is under way, `reschedule` can only change the job's data. A deadline that it has written there since the
 * fetch decides when the check comes again.
 */
async function followReschedule({ job, worker }: FetchedJob, clock: Clock): Promise<void> {
  const fresh = await Job.fromId(worker, job.id as string).catch(() => undefined) // the job is already where it belongs
  const deadline: unknown = fresh?.data?.deadline
  if (typeof deadline !== 'number' || deadline === job.data.deadline) return
  await fresh?.changeDelay(Math.max(0, deadline - clock.now())).catch(() => {}) // it may be due and fetched again by now
}
