import type { FastifyInstance, FastifyReply } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { OrderExpiry } from '../../client/client.ts'
import type { ScheduleItem, ScheduleResult } from '../../client/results.ts'
import { asOrderExpiryError, OrderExpiryError } from '../../errors.ts'
import { describeOrder, type Order } from '../../order/order.ts'
import { parseOrderId } from '../../order/order-id.ts'
import { DURATION_FORMAT, parseDuration } from '../../runtime/duration.ts'
import * as schemas from './orders-schemas.ts'

export interface OrdersApi {
  client: Pick<OrderExpiry, 'schedule' | 'scheduleMany' | 'reschedule' | 'withdraw' | 'find' | 'pay'>
  /** The order as its store knows it. */
  findOrder: (orderId: string) => Promise<Order | undefined>
  /** What an order gets that is scheduled without a deadline, in milliseconds. */
  paymentTimeoutMs: number
}

const { deadlines, problems } = schemas
const tags = ['orders']

/** `/v1/orders`: what the library does, for services in any language. */
export function registerOrders(scope: FastifyInstance, api: OrdersApi): void {
  const { client } = api
  const routes = scope.withTypeProvider<ZodTypeProvider>()

  routes.put(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'Have an order checked at its payment deadline',
        description:
          'Idempotent: the same again is answered with 200, another deadline with 409. Without deadline and timeout it is PAYMENT_TIMEOUT from now.',
        params: schemas.params,
        body: deadlines.nullish(),
        response: { 200: schemas.scheduled, 201: schemas.scheduled, ...problems(400, 409, 503) },
      },
    },
    async ({ params, body, caller }, reply) => {
      const { item, timeoutMs } = itemOf(params.id, body ?? {})
      const result = await client.schedule({ ...item, ...byOf(caller) })
      if (result.result === 'scheduled') return reply.code(201).send(result)
      if (result.result === 'conflict' && !(await isSameAgain(api, result, timeoutMs))) {
        throw result.status === undefined ? conflict(result) : settled({ ...result, status: result.status })
      }
      return { ...result, result: 'unchanged' as const }
    },
  )

  routes.patch(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'Move the payment deadline of an order, earlier or later',
        params: schemas.params,
        body: deadlines,
        response: { 200: schemas.rescheduled, 201: schemas.rescheduled, ...problems(400, 404, 409, 503) },
      },
    },
    async ({ params, body }, reply) => {
      const { item } = itemOf(params.id, body)
      if (item.deadline === undefined)
        throw new OrderExpiryError('INVALID_DEADLINE', 'expected deadline or timeout, given neither')
      const result = await client.reschedule({ ...item, deadline: item.deadline })
      if (result.result === 'missing') throw unknown(result.orderId)
      if (result.result === 'settled') throw settled(result)
      if (result.result === 'checking') throw checking(result.orderId)
      return reply.code(result.result === 'scheduled' ? 201 : 200).send({ ...result, result: result.result })
    },
  )

  routes.delete(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'Withdraw an order: it is not checked any more',
        description:
          'Where your own table is the record, only the check goes: the sweep still finds a row that is unpaid.',
        params: schemas.params,
        response: { 200: schemas.withdrawn, ...problems(400, 404, 409, 503) },
      },
    },
    async ({ params }) => {
      const result = await client.withdraw(params.id)
      if (result.result === 'missing') throw unknown(result.orderId)
      if (result.result === 'settled') throw settled(result)
      if (result.result === 'checking') throw checking(result.orderId)
      return { ...result, result: result.result }
    },
  )

  routes.get(
    '/v1/orders/:id',
    {
      schema: {
        tags,
        summary: 'What is known of an order: its check and its record',
        params: schemas.params,
        response: { 200: schemas.found, ...problems(400, 404, 503) },
      },
    },
    async ({ params }) => {
      const orderId = parseOrderId(params.id)
      const [found, order] = await Promise.all([client.find(orderId), api.findOrder(orderId)])
      if (!found && !order) throw unknown(orderId)
      return { orderId, ...(found?.check && { check: found.check }), ...(order && { order: describeOrder(order) }) }
    },
  )

  routes.post(
    '/v1/orders/:id/paid',
    {
      schema: {
        tags,
        summary: 'Record that an order is paid; it is then never cancelled',
        description:
          'For ORDER_STORE=redis; with a table of your own, mark the row paid there. 409 ORDER_SETTLED: it was too late, give the money back.',
        params: schemas.params,
        response: { 200: schemas.paid, ...problems(400, 409, 503) },
      },
    },
    async ({ params }) => {
      const { orderId, result, paidAt, cancelledAt } = await client.pay(params.id)
      if (result === 'cancelled') {
        throw new OrderExpiryError(
          'ORDER_SETTLED',
          `${orderId}: cancelled ${cancelledAt?.toISOString()}, before it was paid: give the money back`,
        )
      }
      return { orderId, result, paidAt: paidAt as Date }
    },
  )

  routes.post(
    '/v1/orders/batch',
    {
      schema: {
        tags,
        summary: `Schedule up to ${schemas.MOST_ORDERS} orders`,
        description:
          'A result for each, in their order: a bad one does not hold up the others. Calling again is harmless.',
        body: schemas.batch,
        response: { 200: schemas.batchResults, ...problems(400, 413, 503) },
      },
    },
    async ({ body, caller }, reply) => sendBatch({ api, orders: body.orders, by: byOf(caller), reply }),
  )
}

async function sendBatch(options: {
  api: OrdersApi
  orders: readonly unknown[]
  by: { by?: string }
  reply: FastifyReply
}) {
  const { api, orders, by, reply } = options
  const results: unknown[] = new Array(orders.length)
  const items: ScheduleItem[] = []
  const wanted: { index: number; timeoutMs: ReturnType<typeof itemOf>['timeoutMs'] }[] = []
  for (const [index, order] of orders.entries()) {
    try {
      const { item, timeoutMs } = batchItemOf(order)
      items.push({ ...item, ...by })
      wanted.push({ index, timeoutMs })
    } catch (error) {
      results[index] = failed((order as { orderId?: unknown } | null)?.orderId, error)
    }
  }
  const scheduled = items.length > 0 ? await api.client.scheduleMany(items) : []
  await Promise.all(
    scheduled.map(async (result, n) => {
      const { index, timeoutMs } = wanted[n] as (typeof wanted)[number]
      if ('error' in result) results[index] = failed(result.orderId, result.error)
      else if (result.result === 'conflict' && (await isSameAgain(api, result, timeoutMs)))
        results[index] = { ...result, result: 'unchanged' }
      else results[index] = result
    }),
  )
  return reply.send({ results: results as z.input<typeof schemas.batchResults>['results'] })
}

function batchItemOf(order: unknown): ReturnType<typeof itemOf> {
  const parsed = schemas.batchOrder.safeParse(order)
  if (!parsed.success) throw new OrderExpiryError('INVALID_REQUEST', z.prettifyError(parsed.error))
  return itemOf(parsed.data.orderId, parsed.data)
}

function failed(orderId: unknown, cause: unknown) {
  const { code, message, httpStatus } = asOrderExpiryError(cause)
  return {
    ...(['string', 'number'].includes(typeof orderId) && { orderId: String(orderId) }),
    error: { code, detail: httpStatus < 500 ? message : code },
  }
}

/** @returns also the time-out in milliseconds, if that is what was asked for; undefined: neither, the default counts */
function itemOf(
  orderId: string | number,
  body: z.output<typeof deadlines>,
): { item: ScheduleItem; timeoutMs: number | undefined | 'deadline' } {
  const { deadline, timeout, allowPast } = body
  const past = allowPast === undefined ? {} : { allowPast }
  if (deadline !== undefined && timeout !== undefined) {
    throw new OrderExpiryError('INVALID_DEADLINE', 'expected deadline or timeout, given both')
  }
  if (timeout !== undefined) {
    const timeoutMs = parseDuration(timeout)
    if (timeoutMs === undefined) {
      throw new OrderExpiryError(
        'INVALID_DEADLINE',
        `timeout: expected ${DURATION_FORMAT}, given ${JSON.stringify(timeout.slice(0, 64))}`,
      )
    }
    return { item: { orderId, deadline: timeout, ...past }, timeoutMs }
  }
  if (typeof deadline === 'string' && parseDuration(deadline) !== undefined) {
    throw new OrderExpiryError(
      'INVALID_DEADLINE',
      `deadline: expected a point in time, given ${JSON.stringify(deadline)}, which belongs into timeout`,
    )
  }
  if (deadline === undefined) return { item: { orderId, ...past }, timeoutMs: undefined }
  return { item: { orderId, deadline, ...past }, timeoutMs: 'deadline' }
}

/** A time-out counts from the first time that it was asked for, so the same request sent again asks for another deadline. */
async function isSameAgain(
  { client, paymentTimeoutMs }: OrdersApi,
  { orderId }: ScheduleResult,
  timeoutMs: number | undefined | 'deadline',
): Promise<boolean> {
  if (timeoutMs === 'deadline') return false
  const { deadline, scheduledAt } = (await client.find(orderId))?.check ?? {}
  if (!deadline || !scheduledAt) return false
  return deadline.getTime() - scheduledAt.getTime() === (timeoutMs ?? paymentTimeoutMs)
}

/** For `explain`. */
function byOf(caller: string | undefined): { by?: string } {
  return caller === undefined ? {} : { by: caller }
}

function unknown(orderId: string): OrderExpiryError {
  return new OrderExpiryError('ORDER_UNKNOWN', `${orderId}: there is no such order, and no check of it`)
}

function conflict({ orderId, deadline }: ScheduleResult): OrderExpiryError {
  return new OrderExpiryError(
    'DEADLINE_CONFLICT',
    `${orderId}: has its check at ${deadline.toISOString()} already; PATCH moves it`,
  )
}

function settled({ orderId, status }: { orderId: string; status?: string }): OrderExpiryError {
  return new OrderExpiryError('ORDER_SETTLED', `${orderId}: is ${status} already`)
}

function checking(orderId: string): OrderExpiryError {
  return new OrderExpiryError(
    'CHECK_UNDER_WAY',
    `${orderId}: its check is under way and may still cancel it; look again`,
  )
}
