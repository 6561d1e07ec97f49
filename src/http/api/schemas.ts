import { z } from 'zod'
import { ERROR_CODES } from '../../errors.ts'
import { VERDICT_CODES, VERDICT_OUTCOMES } from '../../explain/answer.ts'
import { EVENT_CODES } from '../../explain/time-line.ts'
import { DURATION_FORMAT } from '../../runtime/duration.ts'
import { API_CODES } from './problems.ts'
import { expected, expectedFields, expectedLength } from './requests.ts'

/**
 * What the routes of `/v1` take and answer: checked at run time, and the source of `/openapi.json`, where the `id` of a schema is
 * its name.
 */

export const MOST_ORDERS = 1_000

const DEADLINE = 1_801_396_800_000

// A code that is not expected must not keep an answer back.
const errorCode = z
  .enum(ERROR_CODES)
  .meta({ id: 'ErrorCode', description: 'What went wrong, for programs.', enum: API_CODES })

/** RFC 9457. */
export const problem = z
  .object({
    type: z.string().meta({ description: 'The code as a URN.', examples: ['urn:order-expiry:error:ORDER_UNKNOWN'] }),
    title: z.string().describe('The name of the status.'),
    status: z.number().int(),
    detail: z.string().describe('What was expected, what was given and what to do, for people.'),
    code: errorCode,
    requestId: z.string().describe('X-Request-Id of the answer, which also finds the request in the log.'),
    orderId: z.string().optional().describe('With `ORDER_ALREADY_CANCELLED`: of which order.'),
    cancelledAt: z.iso.datetime().optional().describe('With `ORDER_ALREADY_CANCELLED`: when it was cancelled.'),
    deadline: z.iso.datetime().optional().describe('With `ORDER_ALREADY_CANCELLED`: its payment deadline.'),
  })
  .meta({ id: 'Problem', description: 'An error (RFC 9457).' })

const orderId = z.union([z.string(), z.number()], expected('a string or a whole number')).meta({
  description: '1 to 200 bytes, no control characters; or a whole number.',
  examples: ['A-1001'],
})

/** A point in time as we print it: ISO 8601, also before the year 0, which a row of the shop may have. */
const instant = z.string().meta({ format: 'date-time' })

/** A point in time; in JSON it becomes ISO 8601. */
const time = z.codec(instant, z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
})

export const params = z.object({
  id: z.string().meta({ description: 'The order id, percent-encoded.', examples: ['A-1001'] }),
})

const wanted = {
  deadline: z
    .union([z.number(), z.string()], expected('epoch milliseconds or ISO 8601 with an offset'))
    .optional()
    .meta({
      description: 'Epoch milliseconds, or ISO 8601 with an offset.',
      examples: ['2027-01-31T12:00:00Z', DEADLINE],
    }),
  timeout: z
    .string(expected(DURATION_FORMAT))
    .optional()
    .meta({
      description: 'From now, such as 250ms, 30s, 15m, 2h or 1d. Not beside a deadline.',
      examples: ['15m'],
    }),
  allowPast: z
    .boolean(expected('true or false'))
    .optional()
    .describe('Take a deadline that has passed by more than a minute.'),
}
const WANTED = Object.keys(wanted)

export const deadlines = z
  .strictObject(wanted, expectedFields('a JSON object such as {"timeout": "15m"}', WANTED))
  .meta({ id: 'Deadline', description: 'When an order must be paid.', examples: [{ timeout: '15m' }] })

export const batchOrder = z
  .strictObject({ orderId, ...wanted }, expectedFields('a JSON object with an orderId', ['orderId', ...WANTED]))
  .meta({
    id: 'BatchOrder',
    description: 'An order of a batch. Each is checked by itself, so that a bad one does not fail the others.',
    examples: [{ orderId: 'A-1002', timeout: '15m' }],
  })

const lengthOfBatch = expectedLength(`1 to ${MOST_ORDERS} orders`)
export const batch = z
  .strictObject(
    {
      orders: z
        .array(z.unknown(), expected('a list of orders'))
        .min(1, lengthOfBatch)
        .max(MOST_ORDERS, lengthOfBatch)
        .meta({ items: { $ref: '#/components/schemas/BatchOrder' } }),
    },
    expectedFields('a JSON object such as {"orders": [{"orderId": "A-1002", "timeout": "15m"}]}', ['orders']),
  )
  .meta({
    id: 'Batch',
    examples: [
      {
        orders: [
          { orderId: 'A-1002', timeout: '15m' },
          { orderId: 1003, deadline: DEADLINE },
        ],
      },
    ],
  })

export const scheduled = z
  .object({
    orderId: z.string(),
    result: z.enum(['scheduled', 'unchanged', 'conflict']).describe('conflict: only in a batch, for another deadline.'),
    deadline: time.describe('The deadline that counts now.'),
    status: z.string().optional().describe('Of an order recorded here that is no longer unpaid.'),
  })
  .meta({ id: 'Scheduled' })

export const rescheduled = z
  .object({
    orderId: z.string(),
    result: z.enum(['rescheduled', 'unchanged', 'scheduled']).describe('scheduled: it had no check.'),
    deadline: time.optional(),
  })
  .meta({ id: 'Rescheduled' })

export const withdrawn = z.object({ orderId: z.string(), result: z.enum(['withdrawn']) }).meta({ id: 'Withdrawn' })

export const paid = z.object({ orderId: z.string(), result: z.enum(['paid']), paidAt: time }).meta({ id: 'Paid' })

const failed = z
  .object({
    orderId: z.string().optional().describe('Absent if it could not be read.'),
    error: z.object({ code: errorCode, detail: z.string() }).meta({ id: 'BatchError' }),
  })
  .meta({ id: 'NotScheduled' })

export const batchResults = z
  .object({ results: z.array(z.union([scheduled, failed])).describe('One for each order, in their order.') })
  .meta({ id: 'BatchResults' })

const finished = z
  .object({
    outcome: z.enum(['cancelled', 'kept', 'missing']),
    status: z.string().optional(),
    paid: z.literal(true).optional(),
    deadline: z.string(),
    decidedAt: z.string(),
    decidedBy: z.string(),
  })
  .meta({ id: 'Decision' })
const check = z
  .object({
    jobId: z.string(),
    state: z.enum(['waiting', 'due', 'checking', 'finished', 'failed']),
    deadline: time.optional(),
    scheduledAt: time.optional(),
    attempts: z.number(),
    failedReason: z.string().optional(),
    finished: finished.optional(),
  })
  .meta({ id: 'Check' })
const order = z
  .object({
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
  .meta({ id: 'Order' })
export const found = z
  .object({ orderId: z.string(), check: check.optional(), order: order.optional() })
  .meta({ id: 'FoundOrder' })

const storyEvent = z
  .object({ at: instant.optional(), code: z.enum(EVENT_CODES), text: z.string() })
  .meta({ id: 'StoryEvent' })
const missingPart = z
  .object({ part: z.enum(['queue', 'holds', 'store']), code: errorCode, text: z.string() })
  .meta({ id: 'MissingPart' })
const told = z.object({ at: instant.optional(), what: z.string() }).meta({ id: 'StoryLine' })
export const story = z
  .object({
    orderId: z.string(),
    outcome: z.enum(VERDICT_OUTCOMES).describe('What has become of the order.'),
    code: z.enum(VERDICT_CODES).describe('Why. docs/explain.md tells what each means.'),
    verdict: z.string().describe('The same in a sentence or two, for people.'),
    next: z.string().optional().describe('What to do next, if there is anything.'),
    deadline: instant.optional(),
    decidedAt: instant.optional().describe("When it was decided, by the order store's clock."),
    decidedBy: z.string().optional().describe('The process that decided, as host:pid.'),
    lateMs: z.number().optional().describe('From the deadline to the decision or, without one, to now.'),
    events: z.array(storyEvent).describe('What happened, and what is to come, in order of time.'),
    missing: z
      .array(missingPart)
      .describe('The parts of the story that are missing because they cannot be asked now; empty: it is whole.'),
    story: z.array(told).meta({ deprecated: true, description: 'The events as earlier versions told them.' }),
  })
  .meta({ id: 'Story' })

const count = z.number().int()
export const forecast = z
  .object({
    at: z.iso.datetime().describe('When Redis was asked.'),
    waiting: count.describe('Checks that are not due yet.'),
    due: count.describe('Checks whose time has come and that have not ended yet.'),
    within: z
      .object({ '1m': count, '5m': count, '15m': count, '60m': count })
      .meta({ id: 'ChecksWithin', description: 'Checks due within each period.' }),
    minutes: z.array(count).length(60).describe('Checks due in each of the next 60 minutes.'),
  })
  .meta({ id: 'Forecast' })
