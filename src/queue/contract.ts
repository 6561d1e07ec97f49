import { z } from 'zod'
import { OrderExpiryError } from '../errors.ts'
import { LAST_MS, parseContractDeadline } from '../order/deadline.ts'
import type { Check, Outcome } from '../order/order.ts'
import { parseOrderId } from '../order/order-id.ts'
import { systemClock } from '../runtime/clock.ts'
import { UnreadableData } from './unreadable-data.ts'

/** The name of the only kind of job in the queue. */
export const JOB_NAME = 'check-payment'

/** What is on a job: stable, and written by services in other languages too. */
export interface JobData {
  orderId: string
  /** Epoch milliseconds. Default: that of {@link impliedDeadline}. */
  deadline?: number | undefined
  /** Who asked for it, if known. */
  by?: string | undefined
}

/** The id of the job of an order. BullMQ forbids all-digit ids and `:`; `%` is encoded so that no two orders share one. */
export function jobIdOf(orderId: string): string {
  return `order-${orderId.replace(/[%:]/g, (char) => (char === '%' ? '%25' : '%3A'))}`
}

/** An order that is to be checked. Times are epoch milliseconds. */
export interface Placement extends JobData {
  deadline: number
  placedAt: number
  /** How long after `placedAt` the deadline is, if it was asked for as a time-out. */
  spanMs?: number | undefined
  /** The trace context of whoever asks for it, as BullMQ's telemetry writes it. */
  trace?: string | undefined
}

/**
 * The job of an order, due at its deadline, whenever it is added. Nothing else is on it: policy belongs to the worker. What
 * the job says anyway is not in its data too: with a field of over 64 bytes it would take twice the memory in Redis.
 */
export function jobOf({ orderId, deadline, placedAt, by, trace }: Placement) {
  const opts = {
    delay: Math.max(0, deadline - placedAt),
    ...(trace !== undefined && { telemetry: { metadata: trace } }),
  }
  const isImplied = impliedDeadline({ timestamp: placedAt, opts }) === deadline
  const data: JobData = { orderId, ...(!isImplied && { deadline }), ...(by !== undefined && { by }) }
  return { id: jobIdOf(orderId), name: JOB_NAME, data: JSON.stringify(data), timestamp: placedAt, opts }
}

/** When a job was added, in epoch milliseconds, and its options. Its delay there stays, whatever becomes of that in its hash. */
interface Wanted {
  timestamp: number
  opts: { delay?: number | undefined }
}

/** The deadline of a job whose data has none: when its producer wanted it to run; undefined if it did not say. */
function impliedDeadline({ timestamp, opts }: Wanted): number | undefined {
  const delay = Number(opts.delay)
  return delay > 0 ? timestamp + delay : undefined
}

/**
 * The deadline of a job, by its data or else its options; undefined if it has none, or somebody has made it unreadable.
 *
 * @param job.data and `opts`: as JSON, or what that says
 */
export function deadlineOf(
  job: { data: unknown; timestamp: number; opts: unknown },
  now = systemClock.now(),
): number | undefined {
  try {
    const { deadline } = parsed(job.data)
    const input = deadline ?? impliedDeadline({ timestamp: job.timestamp, opts: parsed(job.opts) })
    return parseContractDeadline({ input, now })
  } catch {
    return undefined
  }
}

function parsed(json: unknown) {
  return typeof json === 'string' ? JSON.parse(json) : json
}

/** A string or a number. */
function value(expected: string) {
  return z.union([z.string(), z.number()], {
    error: ({ input }) => `expected ${expected}, given ${input === null ? 'null' : typeof input}`,
  })
}

const jobData = z.looseObject({
  orderId: value('a string or a whole number'),
  deadline: value('epoch milliseconds or ISO 8601 with an offset').nullish(),
})

/**
 * The check that a job asks for. Unknown fields are ignored. A job without a deadline is due when its producer wanted it
 * to run or, if it did not say, after the default time-out; both counted from when it was added.
 *
 * @throws {OrderExpiryError} UNKNOWN_JOB or INVALID_JOB, saying what is wrong
 */
export function parseJob(
  job: Wanted & { id?: string; name: string; data: unknown },
  { now, paymentTimeoutMs }: { now: number; paymentTimeoutMs: number },
): Check {
  if (job.data instanceof UnreadableData) throw unreadableJob(String(job.id), job.data.unreadable)
  if (job.name === undefined) throw unreadableJob(String(job.id), 'Redis no longer has what was on it')
  if (job.name !== JOB_NAME) {
    throw new OrderExpiryError('UNKNOWN_JOB', `expected a job named ${JOB_NAME}, given ${JSON.stringify(job.name)}`)
  }
  const parsed = jobData.safeParse(job.data)
  if (!parsed.success) {
    throw invalidJob(
      parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'data'}: ${message}`).join('; '),
    )
  }
  const { orderId, deadline } = parsed.data
  try {
    const input = deadline ?? impliedDeadline(job) ?? job.timestamp + paymentTimeoutMs
    return { orderId: parseOrderId(orderId), deadline: parseContractDeadline({ input, now }) }
  } catch (cause) {
    if (cause instanceof OrderExpiryError) throw invalidJob(cause.message, cause)
    throw cause
  }
}

function invalidJob(what: string, cause?: unknown): OrderExpiryError {
  return new OrderExpiryError('INVALID_JOB', `expected data {"orderId": "…", "deadline": …}: ${what}`, { cause })
}

/** A job that BullMQ cannot read. */
export function unreadableJob(jobId: string, why: string): OrderExpiryError {
  return new OrderExpiryError('INVALID_JOB', `the job ${jobId} cannot be read: ${why}`)
}

/** What is on a finished job: the outcome, and the evidence it rests on. Times are ISO 8601, by the order store's clock. */
export interface FinishedCheck {
  outcome: 'cancelled' | 'kept' | 'missing'
  /** The status that was seen. */
  status?: string | undefined
  /** True if the order was marked paid beside its status. */
  paid?: true | undefined
  deadline: string
  decidedAt: string
  /** The process that decided, as `host:pid`. */
  decidedBy: string
}

/** ISO 8601 of an instant. In a batch, most come again at once, and making a text costs more than all else that is done here. */
function lastText(): (ms: number) => string {
  let last = Number.NaN
  let text = ''
  return (ms) => {
    if (ms !== last) text = new Date(ms).toISOString()
    last = ms
    return text
  }
}

const deadlineText = lastText()
const decidedText = lastText()

/** The evidence of a decision. @param options.wanted shows its deadline where the store keeps none */
export function finishedCheckOf(options: {
  outcome: Extract<Outcome, { kind: FinishedCheck['outcome'] }>
  wanted: Check
  decidedBy: string
}): FinishedCheck {
  const { outcome, wanted, decidedBy } = options
  const { status, paid, deadline = wanted.deadline, decidedAt } = outcome.evidence
  return {
    outcome: outcome.kind,
    status,
    paid,
    deadline: deadlineText(Math.min(deadline, LAST_MS)),
    decidedAt: decidedText(decidedAt),
    decidedBy,
  }
}
