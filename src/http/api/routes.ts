import { OF_BODY, OF_STORE } from './problems.ts'
import * as schemas from './schemas.ts'

/** The operations of `/v1`, as `/openapi.json` describes them. */

const { params, deadlines, scheduled, rescheduled } = schemas
const tags = ['orders']

export const routes = {
  schedule: {
    operationId: 'scheduleOrder',
    scope: 'schedule',
    tags,
    summary: 'Have an order checked at its payment deadline',
    description:
      'Idempotent: the same request again is answered with 200, another deadline with 409. Without deadline and timeout it is PAYMENT_TIMEOUT from now.',
    params,
    body: deadlines.nullish(),
    response: { 200: scheduled, 201: scheduled },
    answers: { 200: 'It was scheduled for this deadline already.', 201: 'It is scheduled.' },
    problems: ['INVALID_ORDER_ID', 'INVALID_DEADLINE', 'DEADLINE_CONFLICT', 'ORDER_SETTLED', ...OF_BODY],
  },
  reschedule: {
    operationId: 'rescheduleOrder',
    scope: 'schedule',
    tags,
    summary: 'Move the payment deadline of an order, earlier or later',
    description:
      'Where your own table is the record, an order without a check gets one (201): the row may be committed later. 404 is for orders that are recorded here.',
    params,
    body: deadlines,
    response: { 200: rescheduled, 201: rescheduled },
    answers: { 200: 'Its check is at the new deadline.', 201: 'It had no check, and has one now.' },
    problems: ['INVALID_ORDER_ID', 'INVALID_DEADLINE', 'ORDER_UNKNOWN', 'ORDER_SETTLED', 'CHECK_UNDER_WAY', ...OF_BODY],
  },
  withdraw: {
    operationId: 'withdrawOrder',
    scope: 'schedule',
    tags,
    summary: 'Withdraw an order: it will no longer be checked',
    description: 'Where your own table is the record, only the check is removed: the sweep still finds an unpaid row.',
    params,
    response: { 200: schemas.withdrawn },
    answers: { 200: 'It will not be checked.' },
    problems: ['INVALID_ORDER_ID', 'ORDER_UNKNOWN', 'ORDER_SETTLED', 'CHECK_UNDER_WAY', ...OF_BODY],
  },
  find: {
    operationId: 'findOrder',
    scope: 'read',
    tags,
    summary: 'What is known about an order: its check and its record',
    params,
    response: { 200: schemas.found },
    answers: { 200: 'Its check, its record or both.' },
    problems: ['INVALID_ORDER_ID', 'ORDER_UNKNOWN', ...OF_STORE],
  },
  pay: {
    operationId: 'payOrder',
    scope: 'pay',
    tags,
    summary: 'Record that an order is paid; it is then never cancelled',
    description:
      'Idempotent. For orders that are recorded here; with a table of your own, mark the row paid there (409 NOT_RECORDED_HERE). 409 ORDER_ALREADY_CANCELLED: it was too late, give the money back; the event `order.paid_late` tells of it, once. 404 ORDER_UNKNOWN: there was no such order; from then on it is on record as paid, so that a request to schedule it that comes late cannot cancel it.',
    params,
    response: { 200: schemas.paid },
    answers: { 200: 'It is paid, now or since before.' },
    problems: ['INVALID_ORDER_ID', 'ORDER_UNKNOWN', 'ORDER_ALREADY_CANCELLED', 'NOT_RECORDED_HERE', ...OF_BODY],
  },
  explain: {
    operationId: 'explainOrder',
    scope: 'read',
    tags,
    summary: "Why an order was cancelled, or was not: one order's story",
    description:
      'An order of which nothing is known has a story too: its outcome is `missing` or `unknown`, and the verdict says what that can mean.',
    params,
    response: { 200: schemas.story },
    answers: { 200: 'Its story. While Redis or the order store is away, half of it.' },
    problems: ['INVALID_ORDER_ID', ...OF_STORE],
  },
  scheduleMany: {
    operationId: 'scheduleOrders',
    scope: 'schedule',
    tags,
    summary: `Schedule up to ${schemas.MOST_ORDERS} orders`,
    description: 'A result for each, in their order: a bad one does not hold up the others. Calling again is harmless.',
    body: schemas.batch,
    response: { 200: schemas.batchResults },
    answers: { 200: 'A result or an error for each order.' },
    problems: [...OF_BODY],
  },
  forecast: {
    operationId: 'forecastChecks',
    scope: 'read',
    tags: ['forecast'],
    summary: 'How many checks fall due within the next minutes',
    response: { 200: schemas.forecast },
    answers: { 200: 'The checks in the queue, counted by when they fall due.' },
    problems: [],
  },
} as const
