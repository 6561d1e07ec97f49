import type { OrderExpiry } from '../../client/client.ts'
import { OrderExpiryError } from '../../errors.ts'
import type { ExplainSources } from '../../explain/explain-order.ts'
import type { Vitals } from '../../observe/vitals.ts'
import { describeOrder } from '../../order/order.ts'
import { parseOrderId } from '../../order/order-id.ts'
import * as schemas from './orders-schemas.ts'
import { recognizeRepeat, wantedDeadlineOf } from './wanted-deadline.ts'

export interface OrdersApi {
  client: Pick<OrderExpiry, 'schedule' | 'scheduleMany' | 'reschedule' | 'withdraw' | 'find' | 'pay'>
  vitals: Vitals & ExplainSources
  /** What an order gets that is scheduled without a deadline, in milliseconds. */
  paymentTimeoutMs: number
}

type ApiRoutes = schemas.ApiRoutes
const { params, problems } = schemas
const tags = ['orders']

/** `/v1/orders/{id}`: what the library does, for services in any language. */
export function registerOrders(routes: ApiRoutes, api: OrdersApi): void {
  registerPut(routes, api)
  registerPatch(routes, api)
  registerDelete(routes, api)
  registerGet(routes, api)
  registerPaid(routes, api)
}

function registerPut(routes: ApiRoutes, { client, paymentTimeoutMs }: OrdersApi): void {
  routes.put(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'Have an order checked at its payment deadline',
        description:
          'Idempotent: the same again is answered with 200, another deadline with 409. Without deadline and timeout it is PAYMENT_TIMEOUT from now.',
        params,
        body: schemas.deadlines.nullish(),
        response: { 200: schemas.scheduled, 201: schemas.scheduled, ...problems(400, 409, 503) },
      },
    },
    async ({ params: { id }, body, caller }, reply) => {
      const { item, spanMs } = wantedDeadlineOf({ orderId: id, body: body ?? {}, paymentTimeoutMs, caller })
      const result = await recognizeRepeat({ result: await client.schedule(item), spanMs, client })
      if (result.result === 'conflict') {
        if (result.status !== undefined) throw refused({ ...result, result: 'settled' })
        const at = result.deadline.toISOString()
        throw new OrderExpiryError(
          'DEADLINE_CONFLICT',
          `${result.orderId}: has its check at ${at} already; PATCH moves it`,
        )
      }
      return reply.code(result.result === 'scheduled' ? 201 : 200).send(result)
    },
  )
}

function registerPatch(routes: ApiRoutes, { client, paymentTimeoutMs }: OrdersApi): void {
  routes.patch(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'Move the payment deadline of an order, earlier or later',
        params,
        body: schemas.deadlines,
        response: { 200: schemas.rescheduled, 201: schemas.rescheduled, ...problems(400, 404, 409, 503) },
      },
    },
    async ({ params: { id }, body }, reply) => {
      const { item } = wantedDeadlineOf({ orderId: id, body, paymentTimeoutMs })
      if (item.deadline === undefined)
        throw new OrderExpiryError('INVALID_DEADLINE', 'expected deadline or timeout, given neither')
      const outcome = await client.reschedule({ ...item, deadline: item.deadline })
      const { result } = outcome
      if (result === 'missing' || result === 'settled' || result === 'checking') throw refused({ ...outcome, result })
      return reply.code(result === 'scheduled' ? 201 : 200).send({ ...outcome, result })
    },
  )
}

function registerDelete(routes: ApiRoutes, { client }: OrdersApi): void {
  routes.delete(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'Withdraw an order: it is not checked any more',
        description:
          'Where your own table is the record, only the check goes: the sweep still finds a row that is unpaid.',
        params,
        response: { 200: schemas.withdrawn, ...problems(400, 404, 409, 503) },
      },
    },
    async ({ params: { id } }) => {
      const outcome = await client.withdraw(id)
      const { result } = outcome
      if (result !== 'withdrawn') throw refused({ ...outcome, result })
      return { ...outcome, result }
    },
  )
}

function registerGet(routes: ApiRoutes, { client, vitals }: OrdersApi): void {
  routes.get(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'What is known of an order: its check and its record',
        params,
        response: { 200: schemas.found, ...problems(400, 404, 503) },
      },
    },
    async ({ params: { id } }) => {
      const orderId = parseOrderId(id)
      const { store } = vitals
      const [found, [order]] = await Promise.all([client.find(orderId), store.find([orderId])])
      if (!found && !order) throw refused({ orderId, result: 'missing' })
      return { orderId, ...(found?.check && { check: found.check }), ...(order && { order: describeOrder(order) }) }
    },
  )
}

function registerPaid(routes: ApiRoutes, { client }: OrdersApi): void {
  routes.post(
    '/v1/orders/:id/paid',
    {
      schema: {
        tags,
        summary: 'Record that an order is paid; it is then never cancelled',
        description:
          'For orders that are recorded here; with a table of your own, mark the row paid there. 409 ORDER_SETTLED: it was too late, give the money back.',
        params,
        response: { 200: schemas.paid, ...problems(400, 409, 503) },
      },
    },
    async ({ params: { id } }) => {
      const { orderId, result, paidAt, cancelledAt } = await client.pay(id)
      if (result === 'cancelled') {
        throw new OrderExpiryError(
          'ORDER_SETTLED',
          `${orderId}: cancelled ${cancelledAt?.toISOString()}, before it was paid: give the money back`,
        )
      }
      return { orderId, result, paidAt: paidAt as Date }
    },
  )
}

const REFUSALS = {
  missing: { code: 'ORDER_UNKNOWN', why: 'there is no such order, and no check of it' },
  settled: { code: 'ORDER_SETTLED', why: 'is settled already' },
  checking: { code: 'CHECK_UNDER_WAY', why: 'its check is under way and may still cancel it; look again' },
} as const

/** What the client's result is answered with if nothing was done. */
function refused(options: { orderId: string; result: keyof typeof REFUSALS; status?: string }): OrderExpiryError {
  const { orderId, result, status } = options
  const { code, why } = REFUSALS[result]
  return new OrderExpiryError(code, `${orderId}: ${status === undefined ? why : `is ${status} already`}`)
}
