import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { EventBus } from '../../observe/events.ts'
import { callerOf } from '../auth.ts'
import { scopeOf } from './scopes.ts'

/** What a change answers: one order, or a batch of them. */
type Changed = { orderId: string; result: string } | { results: readonly { result?: string }[] }

/** Each request that was taken is told of, also one that found everything as it is to be. */
export function tellOfChanges(scope: FastifyInstance, { events }: { events: EventBus }): void {
  scope.addHook('preSerialization', async (request, reply, payload) => {
    if (scopeOf(request) !== 'read') {
      tellOfChange({ request, status: reply.statusCode, changed: payload as Changed, events })
    }
    return payload
  })
}

export function tellOfChange(options: {
  request: FastifyRequest
  status: number
  changed: Changed
  events: EventBus
}): void {
  const { request, status, changed, events } = options
  const { id: requestId, method, routeOptions } = request
  const told = { by: callerOf(request), requestId, method, route: String(routeOptions.url), status }
  if ('results' in changed) {
    const results: Record<string, number> = {}
    for (const { result = 'failed' } of changed.results) results[result] = (results[result] ?? 0) + 1
    events.emit('orders-changed', { ...told, orders: changed.results.length, results })
  } else events.emit('orders-changed', { ...told, orderId: changed.orderId, result: changed.result })
}
