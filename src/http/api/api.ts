import rateLimit from '@fastify/rate-limit'
import { context, propagation } from '@opentelemetry/api'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { OrderExpiryError } from '../../errors.ts'
import type { EventBus } from '../../observe/events.ts'
import type { Vitals } from '../../observe/vitals.ts'
import type { Scope } from '../../settings/credentials.ts'
import { callerOf } from '../auth.ts'
import type { Admit } from '../doors.ts'
import { type OrdersApi, registerOrders } from './orders.ts'
import { routes } from './schemas.ts'

const STOPPING_RETRY_S = 1

interface Api extends OrdersApi {
  vitals: Vitals & OrdersApi['vitals']
  admit: Admit
  /** Told of every change. */
  events: EventBus
  /** Of each caller with a token; undefined: no limit. */
  requestsPerSecond: number | undefined
}

/** `/v1`, for whoever `admit` lets in, within the scopes and the limit of their token. It refuses every request once the process is stopping. */
export async function registerApi(server: FastifyInstance, api: Api): Promise<void> {
  const { admit, vitals } = api
  await server.register(async (scope) => {
    admit(scope)
    requireScopes(scope)
    await limitRate(scope, api)
    scope.addHook('onRequest', async (_request, reply) => {
      if (vitals.phase !== 'stopping') return
      reply.header('retry-after', String(STOPPING_RETRY_S)).header('connection', 'close')
      throw new OrderExpiryError('STOPPING', 'this process is about to end: ask again, another one answers')
    })
    joinTraces(scope)
    tellOfChanges(scope, api)
    const typed = scope.withTypeProvider<ZodTypeProvider>()
    registerOrders(typed, api)
    typed.get('/v1/forecast', { schema: routes.forecast }, async () => {
      const { at, ...rest } = await vitals.view.forecast()
      return { at: new Date(at).toISOString(), ...rest }
    })
    refuseOtherMethods(scope)
  })
}

/** @see https://www.rfc-editor.org/rfc/rfc6750#section-3.1 */
function requireScopes(scope: FastifyInstance): void {
  scope.addHook('onRequest', async (request, reply) => {
    const { caller, scopes } = request
    const needed = scopeOf(request)
    if (!scopes || scopes.includes(needed)) return
    reply.header('www-authenticate', `Bearer realm="order-expiry", error="insufficient_scope", scope="${needed}"`)
    throw new OrderExpiryError(
      'FORBIDDEN',
      `expected a token with the scope ${needed}; ${caller} of API_TOKENS has ${scopes.join('+')}`,
    )
  })
}

function scopeOf({ method, routeOptions }: FastifyRequest): Scope {
  if (method === 'GET' || method === 'HEAD') return 'read'
  return routeOptions.url?.endsWith('/paid') ? 'pay' : 'schedule'
}

async function limitRate(scope: FastifyInstance, { requestsPerSecond }: Api): Promise<void> {
  if (requestsPerSecond === undefined) return
  await scope.register(rateLimit, {
    max: requestsPerSecond,
    timeWindow: 1_000,
    keyGenerator: callerOf,
    allowList: ({ caller }) => caller === undefined, // there are no tokens
    errorResponseBuilder: (request, { max }) =>
      new OrderExpiryError(
        'RATE_LIMITED',
        `expected at most ${max} requests a second of ${callerOf(request)}; wait, or send batches`,
      ),
  })
}

/**
 * What the handlers of this scope do belongs to the trace that the request names in `traceparent` (W3C Trace Context). Nothing
 * happens while no traces are sent.
 */
function joinTraces(scope: FastifyInstance): void {
  // The last hook before the handler, which runs within it: a context set earlier is lost when a body is read.
  scope.addHook('preHandler', (request, _reply, done) => {
    context.with(propagation.extract(context.active(), request.headers), done)
  })
}

/** What a change answers: one order, or a batch of them. */
type Changed = { orderId: string; result: string } | { results: readonly { result?: string }[] }

/** Each request that was taken is told of, also one that found everything as it is to be. */
function tellOfChanges(scope: FastifyInstance, { events }: Api): void {
  scope.addHook('preSerialization', async (request, reply, payload) => {
    if (scopeOf(request) === 'read') return payload
    const { id: requestId, method, routeOptions } = request
    const told = { by: callerOf(request), requestId, method, route: String(routeOptions.url), status: reply.statusCode }
    const changed = payload as Changed
    if ('results' in changed) {
      const results: Record<string, number> = {}
      for (const { result = 'failed' } of changed.results) results[result] = (results[result] ?? 0) + 1
      events.emit('orders-changed', { ...told, orders: changed.results.length, results })
    } else events.emit('orders-changed', { ...told, orderId: changed.orderId, result: changed.result })
    return payload
  })
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const
const URLS = ['/v1/orders/:id', '/v1/orders/:id/paid', '/v1/orders/:id/explain', '/v1/forecast']

/** A path that exists, but not for this method, is answered with 405 and the allowed methods (RFC 9110, 15.5.6). */
function refuseOtherMethods(scope: FastifyInstance): void {
  for (const url of URLS) {
    const allowed = METHODS.filter((method) => scope.hasRoute({ url, method }))
    scope.route({
      method: METHODS.filter((method) => !allowed.includes(method)),
      url,
      schema: { hide: true },
      handler: async (request, reply) => {
        reply.header('allow', allowed.join(', '))
        throw new OrderExpiryError('METHOD_NOT_ALLOWED', `expected ${allowed.join(', ')}, given ${request.method}`)
      },
    })
  }
}
