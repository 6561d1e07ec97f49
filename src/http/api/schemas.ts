import { z } from 'zod'
import { ERROR_CODES } from '../../errors.ts'
import { VERDICT_CODES, VERDICT_OUTCOMES } from '../../explain/answer.ts'
import { EVENT_CODES } from '../../explain/time-line.ts'
import { problem } from '../problem.ts'

/** What the routes of `/v1` take and answer: checked at run time, and the source of `/openapi.json`. */

const MOST_ORDERS = 1_000

const orderId = z.union([z.string(), z.number()]).describe('1 to 200 bytes, no control characters; or a whole number.')

/** A point in time as we print it: ISO 8601, also before the year 0, which a row of the shop may have. */
const instant = z.string().meta({ format: 'date-time' })

/** A point in time; in JSON it becomes ISO 8601. */
const time = z.codec(instant, z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
})

const params = z.object({ id: z.string().describe('The order id, percent-encoded.') })

export const deadlines = z.strictObject({
  deadline: z.union([z.number(), z.string()]).optional().describe('Epoch milliseconds, or ISO 8601 with an offset.'),
  timeout: z.string().optional().describe('From now, such as 250ms, 30s, 15m, 2h or 1d. Not beside a deadline.'),
  allowPast: z.boolean().optional().describe('Take a deadline that has passed by more than a minute.'),
})

export const batchOrder = deadlines.extend({ orderId })

/** Each order is checked by itself, so that a bad one does not fail the others. */
const batch = z.strictObject({
  orders: z
    .array(z.unknown())
    .min(1)
    .max(MOST_ORDERS)
    .meta({ items: z.toJSONSchema(batchOrder, { io: 'input' }) }),
})

const scheduled = z.object({
  orderId: z.string(),
  result: z.enum(['scheduled', 'unchanged', 'conflict']),
  deadline: time,
  status: z.string().optional().describe('Of an order recorded here that is no longer unpaid.'),
})

const rescheduled = z.object({
  orderId: z.string(),
  result: z.enum(['rescheduled', 'unchanged', 'scheduled']),
  deadline: time.optional(),
})

const withdrawn = z.object({ orderId: z.string(), result: z.enum(['withdrawn']) })

const paid = z.object({ orderId: z.string(), result: z.enum(['paid', 'missing']), paidAt: time })

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
  setAside: z
    .enum(['backlog', 'unreadable'])
    .optional()
    .describe(
      'Why no sweep cancels it though it is unpaid: overdue since long before the first start, or with a deadline that cannot be meant.',
    ),
})
const found = z.object({ orderId: z.string(), check: check.optional(), order: order.optional() })

const story = z.object({
  orderId: z.string(),
  outcome: z.enum(VERDICT_OUTCOMES).describe('What has become of the order.'),
  code: z.enum(VERDICT_CODES).describe('Why. docs/explain.md tells what each means.'),
  verdict: z.string().describe('The same in a sentence or two, for people.'),
  next: z.string().optional().describe('What to do next, if there is anything.'),
  deadline: instant.optional(),
  decidedAt: instant.optional().describe("When it was decided, by the order store's clock."),
  decidedBy: z.string().optional().describe('The process that decided, as host:pid.'),
  lateMs: z.number().optional().describe('From the deadline to the decision or, without one, to now.'),
  events: z
    .array(z.object({ at: instant.optional(), code: z.enum(EVENT_CODES), text: z.string() }))
    .describe('What happened, and what is to come, in order of time.'),
  missing: z
    .array(z.object({ part: z.enum(['queue', 'store']), code: z.enum(ERROR_CODES), text: z.string() }))
    .describe('The half of the story that is missing because it cannot be asked now; empty: the story is whole.'),
  story: z
    .array(z.object({ at: instant.optional(), what: z.string() }))
    .meta({ deprecated: true, description: 'The events as earlier versions told them.' }),
})

const count = z.number().int()
const forecast = z.object({
  at: z.iso.datetime().describe('When Redis was asked.'),
  waiting: count.describe('Checks that are not due yet.'),
  due: count.describe('Checks whose time has come and that have not ended yet.'),
  within: z.object({ '1m': count, '5m': count, '15m': count, '60m': count }).describe('Checks due within each period.'),
  minutes: z.array(count).length(60).describe('Checks due in each of the next 60 minutes.'),
})

const tags = ['orders']

export const routes = {
  schedule: {
    tags,
    summary: 'Have an order checked at its payment deadline',
    description:
      'Idempotent: the same request again is answered with 200, another deadline with 409. Without deadline and timeout it is PAYMENT_TIMEOUT from now.',
    params,
    body: deadlines.nullish(),
    response: { 200: scheduled, 201: scheduled, ...problems(400, 409, 503) },
  },
  reschedule: {
    tags,
    summary: 'Move the payment deadline of an order, earlier or later',
    params,
    body: deadlines,
    response: { 200: rescheduled, 201: rescheduled, ...problems(400, 404, 409, 503) },
  },
  withdraw: {
    tags,
    summary: 'Withdraw an order: it will no longer be checked',
    description: 'Where your own table is the record, only the check is removed: the sweep still finds an unpaid row.',
    params,
    response: { 200: withdrawn, ...problems(400, 404, 409, 503) },
  },
  find: {
    tags,
    summary: 'What is known about an order: its check and its record',
    params,
    response: { 200: found, ...problems(400, 404, 503) },
  },
  pay: {
    tags,
    summary: 'Record that an order is paid; it is then never cancelled',
    description:
      'For orders that are recorded here; with a table of your own, mark the row paid there. 409 ORDER_SETTLED: it was too late, give the money back.',
    params,
    response: { 200: paid, ...problems(400, 409, 503) },
  },
  explain: {
    tags,
    summary: "Why an order was cancelled, or was not: one order's story",
    params,
    response: { 200: story, ...problems(400, 503) },
  },
  scheduleMany: {
    tags,
    summary: `Schedule up to ${MOST_ORDERS} orders`,
    description: 'A result for each, in their order: a bad one does not hold up the others. Calling again is harmless.',
    body: batch,
    response: { 200: batchResults, ...problems(400, 413, 503) },
  },
  forecast: {
    tags: ['forecast'],
    summary: 'How many checks fall due within the next minutes',
    response: { 200: forecast, ...problems(503) },
  },
}

/** What every route of the API may answer besides its results: these, and what all of them share. */
function problems(...statuses: number[]): Record<number, object> {
  const answer = { content: { 'application/problem+json': { schema: problem } }, description: 'RFC 9457' }
  const all = [...new Set([...statuses, 401, 403, 405, 408, 413, 415, 429, 500, 503])].sort()
  return Object.fromEntries(all.map((status) => [status, answer]))
}
