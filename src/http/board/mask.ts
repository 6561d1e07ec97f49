import { ERROR_CODES } from '../../errors.ts'
import { JOB_NAME } from '../../queue/contract.ts'
import { UnreadableData } from '../../queue/unreadable-data.ts'
import { isOwnNote } from '../../queue/view/check-notes.ts'

/** What the contract puts on a job, and we put on a finished one. Anything else from a producer may be personal. */
const KNOWN = new Set(['orderId', 'deadline', 'by', 'outcome', 'status', 'paid', 'decidedAt', 'decidedBy'])
/** What BullMQ itself makes of a job's options, where they are numbers or yes or no. */
const KNOWN_OPTIONS = new Set([
  'attempts',
  'delay',
  'jobId',
  'keepLogs',
  'lifo',
  'priority',
  'removeOnComplete',
  'removeOnFail',
  'timestamp',
])
const OUR_CODE = new RegExp(`^(${ERROR_CODES.join('|')}): `)
export const MASKED = '•••'

/** The data or result of a job without what may be personal: the fields stay, their values do not. */
export function mask(value: unknown, known: ReadonlySet<string> = KNOWN): unknown {
  if (value === null || value === undefined) return value
  if (value instanceof UnreadableData) return { ...value }
  if (typeof value !== 'object' || Array.isArray(value)) return MASKED
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, known.has(name) && typeof part !== 'object' ? part : MASKED]),
  )
}

/** A job as Bull Board answers it, for somebody who only looks: without anything that a producer or its worker wrote freely. */
export function maskJob(job: Record<string, unknown>): Record<string, unknown> {
  const { name, opts, progress, failedReason, stacktrace, ...rest } = job
  const free = ['groupId', 'deduplicationId', 'deferredFailure'].filter((name) => rest[name] !== undefined)
  return {
    ...rest,
    ...Object.fromEntries(free.map((name) => [name, MASKED])),
    name: maskName(name),
    opts: mask(opts, KNOWN_OPTIONS),
    progress: typeof progress === 'number' ? progress : mask(progress),
    failedReason: maskReason(failedReason),
    stacktrace: Array.isArray(stacktrace) && stacktrace.length > 0 ? [MASKED] : stacktrace,
  }
}

/** A line of a job's log, for somebody who only looks. */
export function maskLog(line: unknown): unknown {
  return typeof line === 'string' && isOwnNote(line) ? line : MASKED
}

/** A scheduler of repeated jobs, which is never ours. */
export function maskScheduler(scheduler: Record<string, unknown>): Record<string, unknown> {
  const { template } = scheduler as { template?: { data?: unknown; opts?: unknown } }
  const shown = template && { data: mask(template.data), opts: mask(template.opts, KNOWN_OPTIONS) }
  return { ...scheduler, name: maskName(scheduler.name), template: shown }
}

/** Why a job failed, for somebody who only looks: our code. What follows may quote a producer, or another program wrote it. */
export function maskReason<Reason>(reason: Reason): Reason | string {
  return typeof reason === 'string' && reason !== '' ? `${OUR_CODE.exec(reason)?.[0] ?? ''}${MASKED}` : reason
}

function maskName(name: unknown): unknown {
  return name === JOB_NAME ? name : MASKED
}
