import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import type { OrderExpiry } from '../../client/client.ts'
import { OrderExpiryError } from '../../errors.ts'
import { type ExplainSources, explainOrder, storyJsonOf } from '../../explain/story.ts'
import { describeOrder } from '../../order/order.ts'
import { parseOrderId } from '../../order/order-id.ts'
import type { QueueView } from '../../queue/view/queue-view.ts'
import { scheduleAll } from './batch.ts'
import * as schemas from './schemas.ts'
import { wantedDeadlineOf } from './wanted-deadline.ts'

export interface OrdersApi {
  client: Pick<OrderExpiry, 'schedule' | 'scheduleMany' | 'reschedule' | 'withdraw' | 'find' | 'pay'>
  vitals: ExplainSources & { view: Pick<QueueView, 'findCheck'> }
}

const ORDER = '/v1/orders/:id'

/** `/v1/orders`: what the library does, for services in any language. */
export function registerOrders(server: Parameters<FastifyPluginCallbackZod>[0], api: OrdersApi): void {
  const { client, vitals } = api
  const { routes } = schemas

  server.put(ORDER, { schema: routes.schedule }, async ({ params: { id }, body, caller }, reply) => {
    const result = await client.schedule(wantedDeadlineOf({ orderId: id, body: body ?? {}, caller }))
    if (result.result !== 'conflict') return reply.code(result.result === 'scheduled' ? 201 : 200).send(result)
    if (result.status !== undefined) throw refused({ ...result, result: 'settled' })
    const at = result.deadline.toISOString()
    throw new OrderExpiryError('DEADLINE_CONFLICT', `${result.orderId}: already has its check at ${at}; PATCH moves it`)
  })

  server.patch(ORDER, { schema: routes.reschedule }, async ({ params: { id }, body }, reply) => {
    const item = wantedDeadlineOf({ orderId: id, body })
    const { deadline } = item
    if (deadline === undefined)
      throw new OrderExpiryError('INVALID_DEADLINE', 'expected deadline or timeout, given neither')
    const outcome = await client.reschedule({ ...item, deadline })
    const { result } = outcome
    if (result === 'missing' || result === 'settled' || result === 'checking') throw refused({ ...outcome, result })
    return reply.code(result === 'scheduled' ? 201 : 200).send({ ...outcome, result })
  })

  server.delete(ORDER, { schema: routes.withdraw }, async ({ params: { id } }) => {
    const outcome = await client.withdraw(id)
    const { result } = outcome
    if (result !== 'withdrawn') throw refused({ ...outcome, result })
    return { ...outcome, result }
  })

  server.get(ORDER, { schema: routes.find }, async ({ params: { id } }) => {
    const orderId = parseOrderId(id)
    const { view, store } = vitals
    const [order] = await store.find([orderId])
    const check = await view.findCheck({ orderId, deadline: order?.deadline })
    if (!check && !order) throw refused({ orderId, result: 'missing' })
    return { orderId, ...(check && { check }), ...(order && { order: describeOrder(order) }) }
  })

  server.post(`${ORDER}/paid`, { schema: routes.pay }, async ({ params: { id } }) => {
    const { orderId, result, paidAt, cancelledAt } = await client.pay(id)
    if (result !== 'cancelled') return { orderId, result, paidAt: paidAt as Date }
    throw new OrderExpiryError(
      'ORDER_SETTLED',
      `${orderId}: cancelled ${cancelledAt?.toISOString()}, before it was paid: give the money back`,
    )
  })

  server.get(`${ORDER}/explain`, { schema: routes.explain }, async ({ params: { id } }) =>
    storyJsonOf(await explainOrder({ orderId: id, sources: vitals })),
  )

  server.post('/v1/orders/batch', { schema: routes.scheduleMany }, async ({ body, caller }) => ({
    results: await scheduleAll({ client, orders: body.orders, caller }),
  }))
}

const REFUSALS = {
  missing: { code: 'ORDER_UNKNOWN', why: 'there is no such order, and no check for it' },
  settled: { code: 'ORDER_SETTLED', why: 'is already settled' },
  checking: { code: 'CHECK_UNDER_WAY', why: 'its check is under way and may still cancel it; look again' },
} as const

/** The error for the client's result if nothing was done. */
function refused(options: { orderId: string; result: keyof typeof REFUSALS; status?: string }): OrderExpiryError {
  const { orderId, result, status } = options
  const { code, why } = REFUSALS[result]
  return new OrderExpiryError(code, `${orderId}: ${status === undefined ? why : `is already ${status}`}`)
}
