import { asOrderExpiryError, type OrderExpiryError } from '../../errors.ts'
import type { EventBus, FinishedCheckEvent } from '../../observe/events.ts'
import { nextStep } from '../../order/next-step.ts'
import type { Settle, Settlement } from '../../order/settle.ts'
import type { Clock } from '../../runtime/clock.ts'
import { deadlineOf, finishedCheckOf } from '../contract.ts'
import { LEFT_BEHIND_PRIORITY } from '../left-behind.ts'
import { noteOf } from '../view/check-notes.ts'
import type { CheckSpans } from './check-spans.ts'
import { type DueCheck, optionsOf, unreadOf } from './claimed-job.ts'
import type { ClaimedJob, Claims, CompletedJob, PutBackJob, Refusal } from './claims.ts'

/** More than two clocks that are both kept right differ by. */
const NOT_DUE_WAIT_MS = 200
/** Until a check comes again that could not be given up, since nobody could be told. */
const UNTOLD_WAIT_MS = 5_000
/** BullMQ's codes for a job that waits for its children, or whose children have failed. */
const HAS_CHILDREN = new Set([-4, -9])

/** Jobs that are locked with one token. */
export interface Batch {
  token: string
  /** When it was claimed, by the clock of Redis. */
  begunAt: number
  /** The same by the monotonic clock of this process. */
  begunMonotonic: number
  checks: readonly DueCheck[]
}

/** A check that is about to fail for good. */
export interface GivenUpCheck {
  /** Undefined: nobody can read which one it is. */
  orderId?: string | undefined
  jobId: string
  /** As the job has it, in epoch milliseconds. */
  deadline?: number | undefined
  /** Epoch milliseconds by the clock of Redis. */
  at: number
  error: OrderExpiryError
}

export interface CheckOptions {
  /** Told before checks fail for good; if it rejects, they come again instead. */
  beforeGivingUp?: ((checks: readonly GivenUpCheck[]) => Promise<void>) | undefined
  /** Told of each of them that has failed for good. Never rejects. */
  afterGivingUp?: ((jobId: string) => Promise<void>) | undefined
  /** Failures after which a check is given up. Postponements and outages are not failures. */
  maxAttempts: number
  /** Who decides, for the evidence: `host:pid`. */
  decidedBy: string
  settle: Settle
  /** Default {@link nextStep}. */
  nextStepOf?: typeof nextStep
  random?: () => number
  events: EventBus
  /** That of Redis. */
  clock: Clock
}

interface Tools extends CheckOptions {
  claims: Claims
  spans?: CheckSpans | undefined
  /** Tells Redis until it has been told. */
  untilTold: <T>(tell: () => Promise<T>) => Promise<T>
}

/** Checks that go on later, without a word to Redis until then. */
interface Waiting {
  /** Those that wait for their deadline, where the clock of the store is a little behind that of Redis, and for how long. */
  early: DueCheck[]
  earlyMs: number
  /** Those whose payments are being closed, which may take seconds. */
  closings: { due: DueCheck; closed: Promise<void> }[]
}

/**
 * Settles a batch and ends its jobs, but for those that wait.
 *
 * @param tools.awaitsClosings whether payments that are being closed are waited for; else their checks come again later
 */
export async function checkBatch(batch: Batch, tools: Tools & { awaitsClosings: () => boolean }): Promise<Waiting> {
  const settlements = await tools.settle(batch.checks.map(({ check }) => check))
  const ending = new Ending(batch, tools)
  const waiting: Waiting = { early: [], earlyMs: 1, closings: [] }
  const awaitsClosings = tools.awaitsClosings()
  for (const [n, due] of batch.checks.entries()) {
    const settlement = settlements[n] as Settlement
    const leftMs = leftUntilDue(settlement)
    const closed = awaitsClosings && 'closed' in settlement ? settlement.closed : undefined
    if (leftMs <= NOT_DUE_WAIT_MS) {
      waiting.early.push(due)
      waiting.earlyMs = Math.max(waiting.earlyMs, leftMs)
    } else if (closed) {
      waiting.closings.push({ due, closed })
    } else {
      ending.add(due, settlement)
    }
  }
  await ending.tell()
  return waiting
}

function leftUntilDue(settlement: Settlement): number {
  if (settlement.kind !== 'postponed' || settlement.reason !== 'not-due') return Number.POSITIVE_INFINITY
  return settlement.until - settlement.evidence.decidedAt
}

/** What becomes of the jobs of a batch: gathered, then told to Redis in one call for each kind of end. */
class Ending {
  readonly #batch: Batch
  readonly #tools: Tools
  readonly #completed: CompletedJob[] = []
  readonly #finished: FinishedCheckEvent[] = []
  readonly #putBack: PutBackJob[] = []
  readonly #givenUp: { due: DueCheck; error: OrderExpiryError }[] = []
  /** By the clock of Redis, however wrong that of this process is, or is set. */
  readonly #now: number

  constructor(batch: Batch, tools: Tools) {
    this.#batch = batch
    this.#tools = tools
    this.#now = batch.begunAt + Math.round(tools.clock.monotonic() - batch.begunMonotonic)
  }

  add(due: DueCheck, settlement: Settlement): void {
    const { events, spans, maxAttempts, nextStepOf = nextStep, random = Math.random } = this.#tools
    const { id, check, started, failed } = due
    const step = nextStepOf({ settlement, started, failed, maxAttempts, now: this.#now, random })
    if (step.kind === 'finish') {
      this.#finish(due, step.outcome)
      return
    }
    const about = { orderId: check.orderId, jobId: id }
    switch (step.kind) {
      case 'postpone': {
        const { delayMs, why, isLeftBehind } = step
        events.emit('check-postponed', { ...about, delayMs, why, lateMs: this.#now - check.deadline })
        spans?.postponed(id, why)
        const priority = isLeftBehind ? LEFT_BEHIND_PRIORITY : due.priority
        this.#putBackLater(due, {
          dueAt: this.#now + delayMs,
          priority,
          note: `check postponed by ${delayMs} ms: ${why}`,
        })
        return
      }
      case 'retry': {
        const { delayMs, error } = step
        events.emit('check-retried', { ...about, delayMs, error })
        spans?.failed(id, error)
        const note = `check failed, again in ${delayMs} ms: ${error.code}`
        const dueAt = this.#now + delayMs
        this.#putBackLater(due, { dueAt, priority: LEFT_BEHIND_PRIORITY, note, failedReason: reasonOf(error) })
        return
      }
      case 'give-up':
        this.#givenUp.push({ due, error: step.error })
    }
  }

  #finish({ id, check: wanted, failed }: DueCheck, outcome: Parameters<typeof finishedCheckOf>[0]['outcome']) {
    const { decidedBy } = this.#tools
    const { status, deadline = wanted.deadline, decidedAt } = outcome.evidence
    const begunLateMs = this.#batch.begunAt - deadline
    this.#finished.push({
      orderId: wanted.orderId,
      jobId: id,
      outcome: outcome.kind,
      status,
      lateMs: decidedAt - deadline,
      begunLateMs,
    })
    const returnvalue = JSON.stringify(finishedCheckOf({ outcome, wanted, decidedBy }))
    this.#completed.push({ id, returnvalue, attemptsMade: failed + 1 })
  }

  #putBackLater({ id, data }: DueCheck, how: Omit<PutBackJob, 'id' | 'data'>): void {
    this.#putBack.push({ id, data, ...how, note: noteOf(this.#now, how.note) })
  }

  /** Resolves once Redis knows of it all. */
  async tell(): Promise<void> {
    await Promise.all([this.#tellCompleted(), this.#tellPutBack(this.#putBack), this.#tellGivenUp()])
  }

  async #tellGivenUp(): Promise<void> {
    const { beforeGivingUp, events } = this.#tools
    const { token } = this.#batch
    if (this.#givenUp.length === 0) return
    try {
      const checks = this.#givenUp.map(({ due: { id, check }, error }) => {
        return { ...check, jobId: id, at: this.#now, error }
      })
      await beforeGivingUp?.(checks)
    } catch (cause) {
      return this.#tellPutBack(this.#givenUp.map(({ due }) => this.#comesAgain(due, asOrderExpiryError(cause))))
    }
    const ends = this.#givenUp.map(({ due, error }) => {
      events.emit('check-given-up', { orderId: due.check.orderId, jobId: due.id, error })
      return giveUp({ ...due, error, token }, this.#tools)
    })
    await Promise.all(ends)
  }

  /** Nobody would hear that it was given up. */
  #comesAgain({ id, data, check: { orderId, deadline } }: DueCheck, { code }: OrderExpiryError): PutBackJob {
    const delayMs = UNTOLD_WAIT_MS
    this.#tools.events.emit('check-postponed', { orderId, jobId: id, delayMs, why: code, lateMs: this.#now - deadline })
    const note = noteOf(this.#now, `check postponed by ${delayMs} ms: ${code}`)
    return { id, data, dueAt: this.#now + delayMs, priority: LEFT_BEHIND_PRIORITY, note }
  }

  async #tellCompleted(): Promise<void> {
    const { claims, spans, untilTold, events } = this.#tools
    const { token } = this.#batch
    if (this.#completed.length === 0) return
    events.emit('checks-finished', { checks: this.#finished })
    const refused = await untilTold(() => claims.complete(token, this.#completed))
    if (spans) {
      const isRefused = new Set(refused.map(([id]) => id))
      for (const { id, returnvalue } of this.#completed) if (!isRefused.has(id)) spans.completed(id, returnvalue)
    }
    for (const refusal of refused) await this.#refused(refusal)
  }

  /** While a check is under way, `reschedule` can only change the data of its job: the new deadline decides when it comes again. */
  async #tellPutBack(jobs: readonly PutBackJob[]): Promise<void> {
    const { claims, untilTold } = this.#tools
    const { token, checks } = this.#batch
    if (jobs.length === 0) return
    const { refused, changed } = await untilTold(() => claims.putBack(token, jobs))
    for (const refusal of refused) await this.#refused(refusal)
    const again = changed.map(([id, data]) => {
      const job = jobs.find((one) => one.id === id) as PutBackJob
      if (data === job.data) return { ...job, data: '' } // what differs cannot be read: it is no UTF-8
      const due = checks.find((one) => one.id === id) as DueCheck
      const deadline = deadlineOf({ ...due, data }, this.#now)
      if (deadline === undefined || deadline === due.check.deadline) return { ...job, data }
      return { ...job, data, priority: due.priority, dueAt: deadline }
    })
    await this.#tellPutBack(again)
  }

  async #refused([id, code]: Refusal): Promise<void> {
    const { events } = this.#tools
    if (HAS_CHILDREN.has(code)) {
      const error = asOrderExpiryError(new Error('the job has children that are not completed'))
      return giveUp({ id, error, token: this.#batch.token }, this.#tools)
    }
    const why = code === -1 ? 'it is gone' : code === -3 ? 'it was not active' : 'its lock was lost'
    events.emit('worker-error', { error: new Error(`the end of job ${id} could not be recorded: ${why}`) })
  }
}

/** A job that cannot be read fails for good. Rejects if nobody can be told of that. */
export async function giveUpUnread(
  job: ClaimedJob,
  { token, begunAt: at, error }: Omit<Batch, 'checks'> & { error: OrderExpiryError },
  tools: Tools,
): Promise<void> {
  const { id, opts, fields } = job
  await tools.beforeGivingUp?.([{ ...unreadOf(job), at, error }])
  tools.events.emit('check-given-up', { jobId: id, error })
  await giveUp({ id, error, token, opts, reason: fields?.defa }, tools)
}

/** The job fails for good, with the error as the reason. */
async function giveUp(
  failing: {
    id: string
    error: OrderExpiryError
    token: string
    opts?: string | undefined
    reason?: string | undefined
  },
  { claims, spans, untilTold, maxAttempts, afterGivingUp }: Tools,
): Promise<void> {
  const { id, error, token, opts, reason = reasonOf(error) } = failing
  const stacktrace = JSON.stringify([error.stack ?? reason])
  const job = { id, failedReason: reason, stacktrace, attempts: maxAttempts, opts: optionsOf({ opts }) }
  await untilTold(() => claims.fail(token, job))
  spans?.failed(id, error)
  await afterGivingUp?.(id)
}

function reasonOf({ code, message }: OrderExpiryError): string {
  return `${code}: ${message}`
}
