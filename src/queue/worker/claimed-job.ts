import { OrderExpiryError } from '../../errors.ts'
import { parseContractDeadline } from '../../order/deadline.ts'
import type { Check } from '../../order/order.ts'
import { parseOrderId } from '../../order/order-id.ts'
import { JOB_NAME, parseJob } from '../contract.ts'
import { orderIdOf } from '../foreign-jobs.ts'
import { LEFT_BEHIND_PRIORITY } from '../left-behind.ts'
import { isJsonObject, UnreadableData, whyUnreadablePart } from '../unreadable-data.ts'
import type { ClaimedJob } from './claims.ts'

/** A job that asks for a check, and what is needed to end it. */
export interface DueCheck {
  id: string
  check: Check
  /** How often it has been started, this time included, and how often it has failed before. */
  started: number
  failed: number
  /** That its producer gave it. */
  priority: number
  isLeftBehind: boolean
  /** When it was added, in epoch milliseconds. */
  timestamp: number
  /** As they were when it was claimed. */
  data: string
  opts: string | undefined
}

type Options = { delay?: number; priority?: number; tm?: string } & Readonly<Record<string, unknown>>

/** Fields that BullMQ's scripts count in. */
const COUNTERS = new Set(['ats', 'atm', 'attemptsMade', 'stc'])
/** Fields that stop BullMQ's scripts, so that the job could not even fail. */
const STOPPING = new Set([...COUNTERS, 'parent', 'id'])
/** Options that name nothing but when and how often: most jobs have these, or none. */
const USUAL_OPTIONS = /^(?:\{(?:"(?:delay":(\d+)|attempts":\d+),?)*\})?$/

/** Fields of a claimed job that must be removed before it can be ended. */
export function stoppingFieldsOf({ fields = {} }: ClaimedJob): string[] {
  return Object.entries(fields).flatMap(([field, text]) => (STOPPING.has(field) && isBad(field, text) ? [field] : []))
}

function isBad(field: string, text: string): boolean {
  if (field === 'id') return true // BullMQ would take it for the id of the job
  return COUNTERS.has(field) ? !/^-?\d+$/.test(text) : whyUnreadablePart(field, text) !== undefined
}

/**
 * What is on a claimed job, for whoever wants to know more than its check; {@link UnreadableData} where it cannot be read.
 * Either way, nothing here throws.
 */
export function dataOf({ data = '', opts = '', fields }: ClaimedJob): unknown {
  const parts = { parent: fields?.parent ?? '', opts, data }
  const whys = Object.entries(parts).map(([field, text]) => whyUnreadablePart(field, text))
  const why = whys.find((one) => one !== undefined)
  return why === undefined ? JSON.parse(data || '{}') : new UnreadableData({ why, text: data })
}

/** @throws {OrderExpiryError} UNKNOWN_JOB or INVALID_JOB, saying what is wrong */
export function readJob(job: ClaimedJob, at: { now: number; paymentTimeoutMs: number }): DueCheck {
  const { id, data = '', opts: text, fields } = job
  const timestamp = Number(job.timestamp)
  if (fields?.defa !== undefined) throw new OrderExpiryError('UNEXPECTED', fields.defa) // the parent of a child that has failed
  const plain = fields ? undefined : readPlain(job, at.now)
  if (plain) {
    return { id, check: plain, started: 1, failed: 0, priority: 0, isLeftBehind: false, timestamp, data, opts: text }
  }
  const parsed = dataOf(job)
  const opts = parsed instanceof UnreadableData ? {} : optionsOf(job)
  const name = fields ? (fields.name as string) : JOB_NAME
  const check = parseJob({ id, name, data: parsed, timestamp, opts }, at)
  return {
    id,
    check,
    started: Number(fields?.ats ?? 1),
    failed: Number(fields?.atm ?? 0) || 0,
    priority: Number(opts.priority) || 0,
    isLeftBehind: isLeftBehind(job),
    timestamp,
    data,
    opts: text,
  }
}

/** What can be told of a job that cannot be read. */
export function unreadOf(job: ClaimedJob): { jobId: string; orderId?: string } {
  try {
    return { jobId: job.id, orderId: parseOrderId(orderIdOf(dataOf(job))) }
  } catch {
    return { jobId: job.id }
  }
}

export function isLeftBehind({ fields }: ClaimedJob): boolean {
  return Number(fields?.priority) === LEFT_BEHIND_PRIORITY
}

/** The common case of the contract, read fast; undefined: whatever else. */
function readPlain({ data = '', opts = '', timestamp }: ClaimedJob, now: number): Check | undefined {
  const usual = USUAL_OPTIONS.exec(opts)
  if (!usual) return undefined
  try {
    const { orderId, deadline } = JSON.parse(data) as { orderId?: unknown; deadline?: unknown }
    const delay = Number(usual[1])
    const input = deadline === undefined && delay > 0 ? Number(timestamp) + delay : deadline
    if (typeof orderId !== 'string' || typeof input !== 'number') return undefined
    return { orderId: parseOrderId(orderId), deadline: parseContractDeadline({ input, now }) }
  } catch {
    return undefined
  }
}

/** The options of a job, none where they cannot be read; its trace context is called `tm` there. */
export function optionsOf({ opts = '' }: { opts?: string | undefined }): Options {
  return isJsonObject(opts) ? JSON.parse(opts) : {}
}
