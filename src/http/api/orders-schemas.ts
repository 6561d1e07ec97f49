import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { ERROR_CODES } from '../../errors.ts'

/** Where the routes of `/v1` are added: their requests and answers have the types of their schemas. */
export type ApiRoutes = Parameters<FastifyPluginCallbackZod>[0]

/** What the routes of `/v1` take and answer: checked at run time, and the source of `/openapi.json`. */

export const MOST_ORDERS = 1_000

const orderId = z.union([z.string(), z.number()]).describe('1 to 200 bytes, no control characters; or a whole number.')

/** A point in time; in JSON it becomes ISO 8601. */
const time = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
})

export const params = z.object({ id: z.string().describe('The order id, percent-encoded.') })

export const deadlines = z.strictObject({
  deadline: z.union([z.number(), z.string()]).optional().describe('Epoch milliseconds, or ISO 8601 with an offset.'),
  timeout: z.string().optional().describe('From now, such as 250ms, 30s, 15m, 2h or 1d. Not beside a deadline.'),
  allowPast: z.boolean().optional().describe('Take a deadline that has passed by more than a minute.'),
})

export const batchOrder = deadlines.extend({ orderId })

/** Each order is looked at by itself, so that a bad one does not fail the others. */
export const batch = z.strictObject({
  orders: z
    .array(z.unknown())
    .min(1)
    .max(MOST_ORDERS)
    .meta({ items: z.toJSONSchema(batchOrder, { io: 'input' }) }),
})

const scheduleResult = z.enum(['scheduled', 'unchanged', 'conflict'])
const status = z.string().optional().describe('Of an order recorded here that is no longer unpaid.')

export const scheduled = z.object({ orderId: z.string(), result: scheduleResult, deadline: time, status })

export const rescheduled = z.object({
  orderId: z.string(),
  result: z.enum(['rescheduled', 'unchanged', 'scheduled']),
  deadline: time.optional(),
})

export const withdrawn = z.object({ orderId: z.string(), result: z.enum(['withdrawn']) })

export const paid = z.object({ orderId: z.string(), result: z.enum(['paid', 'missing']), paidAt: time })

const failed = z.object({
  orderId: z.string().optional(),
  error: z.object({ code: z.enum(ERROR_CODES), detail: z.string() }),
})

export const batchResults = z.object({ results: z.array(z.union([scheduled, failed])) })

const finished = z.object({
  outcome: z.enum(['cancelled', 'kept', 'missing']),
  status: z.string().optional(),
  paid: z.literal(true).optional(),
  deadline: z.string(),
  decidedAt: z.string(),
  decidedBy: z.string(),
})
const check = z.object({
  jobId: z.string(),
  state: z.enum(['waiting', 'due', 'checking', 'finished', 'failed']),
  deadline: time.optional(),
  scheduledAt: time.optional(),
  attempts: z.number(),
  failedReason: z.string().optional(),
  finished: finished.optional(),
})
const order = z.object({
  status: z.string(),
  deadline: time.optional(),
  paidAt: time.optional(),
  cancelledAt: time.optional(),
})
export const found = z.object({ orderId: z.string(), check: check.optional(), order: order.optional() })

const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  code: z.enum(ERROR_CODES),
  requestId: z.string(),
})

/** What every route of the API may answer besides its results: these, and what all of them share. */
export function problems(...statuses: number[]): Record<number, object> {
  const answer = { content: { 'application/problem+json': { schema: problem } }, description: 'RFC 9457' }
  const all = [...new Set([...statuses, 401, 403, 405, 408, 413, 415, 429, 500, 503])].sort()
  return Object.fromEntries(all.map((status) => [status, answer]))
}
