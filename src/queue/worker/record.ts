import { DelayedError, Job, UnrecoverableError, type Worker } from 'bullmq'
import type { OrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import type { Step } from '../../order/next-step.ts'
import type { Check } from '../../order/order.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type FinishedCheck, finishedCheckOf } from '../contract.ts'
import { forgetLeftBehind, LEFT_BEHIND_PRIORITY, priorityOf } from '../left-behind.ts'
import { NOTES_KEPT, noteOf } from '../view/check-notes.ts'

/**
 * Makes retention (`retention.ts`) and retries ours, whatever the producer wrote on the job: a change of policy must reach
 * the orders that wait already, and the evidence must stay.
 */
export function overridePolicy(job: Job, maxAttempts: number): void {
  const kept = { removeOnComplete: undefined, removeOnFail: undefined, keepLogs: NOTES_KEPT }
  Object.assign(job.opts, { ...kept, attempts: maxAttempts, backoff: undefined })
}

interface Recording {
  job: Job
  worker: Worker
  /** What the job says; the evidence shows its deadline where the store keeps none. */
  wanted: Check
  step: Step
  decidedBy: string
  events: EventBus
  /** That of Redis. */
  clock: Clock
}

/**
 * Tells of the step, and does it as BullMQ expects it of a processor: resolves to finish the job, and rejects for every other
 * step.
 */
export async function record(recording: Recording): Promise<FinishedCheck> {
  const { job, wanted, step, events, clock } = recording
  const about = { orderId: wanted.orderId, jobId: job.id as string }
  switch (step.kind) {
    case 'finish':
      return finish(step.outcome, recording)
    case 'postpone':
      events.emit('check-postponed', {
        ...about,
        delayMs: step.delayMs,
        why: step.why,
        lateMs: clock.now() - wanted.deadline,
      })
      note(recording, `check postponed by ${step.delayMs} ms: ${step.why}`)
      return putBack(recording, step)
    case 'retry':
      events.emit('check-retried', { ...about, delayMs: step.delayMs, error: step.error })
      note(recording, `check failed, again in ${step.delayMs} ms: ${step.error.code}`)
      return putBack(recording, { ...step, isLeftBehind: true })
    case 'give-up':
      events.emit('check-given-up', { ...about, error: step.error })
      return giveUp(step.error)
  }
}

/**
 * Moves the job back to the delayed ones; a failure costs it an attempt. It comes after all others if its order was left
 * behind, and where the producer wants it otherwise.
 */
async function putBack(
  recording: Recording,
  { delayMs, error, isLeftBehind }: { delayMs: number; error?: OrderExpiryError; isLeftBehind: boolean },
): Promise<never> {
  const { job, worker, clock } = recording
  const priority = isLeftBehind ? LEFT_BEHIND_PRIORITY : priorityOf(job)
  const fieldsToUpdate = { priority, ...(error && { failedReason: messageOf(error) }) }
  const how = { skipAttempt: !error, fieldsToUpdate }
  await worker.getBackend().moveToDelayed(job.id as string, clock.now(), delayMs, job.token, how)
  await followReschedule(recording)
  throw new DelayedError()
}

/** The job fails for good, with the error as the reason. */
export function giveUp(error: OrderExpiryError): never {
  throw new UnrecoverableError(messageOf(error))
}

function messageOf({ code, message }: OrderExpiryError): string {
  return `${code}: ${message}`
}

function finish(
  outcome: Extract<Step, { kind: 'finish' }>['outcome'],
  { job, wanted, decidedBy, events }: Recording,
): FinishedCheck {
  const { status, deadline = wanted.deadline, decidedAt } = outcome.evidence
  const late = { lateMs: decidedAt - deadline, begunLateMs: (job.processedOn ?? decidedAt) - deadline }
  const about = { orderId: wanted.orderId, jobId: job.id as string }
  events.emit('check-finished', { ...about, outcome: outcome.kind, status, ...late })
  return finishedCheckOf({ outcome, wanted, decidedBy })
}

/** Keeps a note on the job for whoever asks later. Nothing waits for it, and no check fails over it. */
function note({ job, clock }: Recording, what: string): void {
  job.log(noteOf(clock.now(), what)).catch(() => {})
}

/**
 * While a check is under way, `reschedule` can only change the job's data. A deadline that it has written there since the
 * fetch decides when the check comes again.
 */
async function followReschedule({ job, worker, clock }: Recording): Promise<void> {
  const fresh = await Job.fromId(worker, job.id as string).catch(() => undefined) // the job is already where it belongs
  const deadline: unknown = fresh?.data?.deadline
  if (typeof deadline !== 'number' || deadline === job.data.deadline) return
  if (fresh) await forgetLeftBehind(fresh).catch(() => {}) // it is only looked at a little later
  await fresh?.changeDelay(Math.max(0, deadline - clock.now())).catch(() => {}) // it may be due and fetched again by now
}
