import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import type { OrderExpiry } from '../../client/client.ts'
import { OrderExpiryError } from '../../errors.ts'
import { type ExplainSources, explainOrder, storyJsonOf } from '../../explain/story.ts'
import type { EventBus } from '../../observe/events.ts'
import { describeOrder } from '../../order/order.ts'
import { parseOrderId } from '../../order/order-id.ts'
import type { QueueView } from '../../queue/view/queue-view.ts'
import type { Clock } from '../../runtime/clock.ts'
import { notRecordedHere, type PayResult } from '../../stores/records.ts'
import { scheduleAll } from './batch.ts'
import { tellOfChange } from './changes.ts'
import { routes } from './routes.ts'
import { NAMES, wantedItem } from './wanted-item.ts'

export interface OrdersApi {
  client: Pick<OrderExpiry, 'schedule' | 'scheduleMany' | 'reschedule' | 'withdraw' | 'find' | 'pay'>
  vitals: ExplainSources & { view: Pick<QueueView, 'findCheck'> }
  /** Whether the library keeps the orders; else the shop's own table does. */
  recordsOrders: boolean
  /** Told of every change. */
  events: EventBus
  clock: Clock
}

const ORDER = '/v1/orders/:id'

/** `/v1/orders`: what the library does, for services in any language. */
export function registerOrders(server: Parameters<FastifyPluginCallbackZod>[0], api: OrdersApi): void {
  const { client, vitals, clock } = api

  server.put(ORDER, { schema: routes.schedule }, async ({ params: { id }, body, caller }, reply) => {
    const result = await client.schedule(wantedItem({ orderId: id, body: body ?? {}, caller, now: clock.now() }))
    if (result.result !== 'conflict') return reply.code(result.result === 'scheduled' ? 201 : 200).send(result)
    if (result.status !== undefined) throw refused({ ...result, result: 'settled' })
    const at = result.deadline.toISOString()
    throw new OrderExpiryError('DEADLINE_CONFLICT', `${result.orderId}: already has its check at ${at}; PATCH moves it`)
  })

  server.patch(ORDER, { schema: routes.reschedule }, async ({ params: { id }, body }, reply) => {
    const item = wantedItem({ orderId: id, body, now: clock.now() })
    const { deadline } = item
    if (deadline === undefined)
      throw new OrderExpiryError('INVALID_DEADLINE', 'expected deadline or timeout, given neither')
    const outcome = await client.reschedule({ ...item, deadline })
    const { result } = outcome
    if (result === 'missing' || result === 'settled' || result === 'checking') throw refused({ ...outcome, result })
    return reply.code(result === 'scheduled' ? 201 : 200).send({ ...outcome, result })
  })

  server.delete(ORDER, { schema: routes.withdraw }, async ({ params: { id } }) => {
    const outcome = await client.withdraw(orderIdOf(id))
    const { result } = outcome
    if (result !== 'withdrawn') throw refused({ ...outcome, result })
    return { ...outcome, result }
  })

  server.get(ORDER, { schema: routes.find }, async ({ params: { id } }) => {
    const orderId = orderIdOf(id)
    const { view, store } = vitals
    const [order] = await store.find([orderId])
    const check = await view.findCheck({ orderId, order })
    if (!check && !order) throw refused({ orderId, result: 'missing' })
    return { orderId, ...(check && { check }), ...(order && { order: describeOrder(order) }) }
  })

  server.post(`${ORDER}/paid`, { schema: routes.pay }, async (request) => {
    const paid = await pay(orderIdOf(request.params.id), api)
    if (paid.result === 'paid') return { ...paid, result: paid.result }
    if (paid.result === 'cancelled') {
      tellOfChange({ request, status: 409, changed: { ...paid, result: 'paid-late' }, events: api.events })
      throw alreadyCancelled(paid)
    }
    tellOfChange({ request, status: 404, changed: paid, events: api.events })
    const message = `${paid.orderId}: there was no such order; it is on record as paid now, so that scheduling it late cannot cancel it`
    throw new OrderExpiryError('ORDER_UNKNOWN', message)
  })

  server.get(`${ORDER}/explain`, { schema: routes.explain }, async ({ params: { id } }) =>
    storyJsonOf(await explainOrder({ orderId: orderIdOf(id), sources: vitals })),
  )

  server.post('/v1/orders/batch', { schema: routes.scheduleMany }, async ({ body, caller }) => ({
    results: await scheduleAll({ client, orders: body.orders, caller, now: clock.now() }),
  }))
}

/** `missing`: it was not there, and is on record as paid now. */
async function pay(id: string, { client, recordsOrders }: Pick<OrdersApi, 'client' | 'recordsOrders'>) {
  if (!recordsOrders) throw notRecordedHere('an ORDER_STORE that records orders here')
  const { result, ...paid } = await client.pay(id)
  return result === 'cancelled' ? { ...paid, result } : { orderId: paid.orderId, result, paidAt: paid.paidAt as Date }
}

function alreadyCancelled({ orderId, cancelledAt, deadline }: Omit<PayResult, 'result'>): OrderExpiryError {
  const evidence = {
    orderId,
    ...(cancelledAt && { cancelledAt: cancelledAt.toISOString() }),
    ...(deadline && { deadline: deadline.toISOString() }),
  }
  const message = `${orderId}: cancelled ${evidence.cancelledAt}, before it was paid: give the money back`
  return new OrderExpiryError('ORDER_ALREADY_CANCELLED', message, { evidence })
}

function orderIdOf(id: string): string {
  return parseOrderId(id, NAMES.orderId)
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
