import rateLimit from '@fastify/rate-limit'
import { context, propagation } from '@opentelemetry/api'
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { OrderExpiryError } from '../../errors.ts'
import type { Vitals } from '../../observe/vitals.ts'
import type { ApiToken } from '../../settings/credentials.ts'
import { callerOf, requireBearer } from '../auth.ts'
import { type OrdersApi, registerOrders } from './orders.ts'
import { routes } from './schemas.ts'

const STOPPING_RETRY_S = 1

interface Api extends OrdersApi {
  vitals: Vitals & OrdersApi['vitals']
  tokens: readonly ApiToken[]
  /** Whether it may be open without tokens. */
  isOpen: boolean
  /** Of each token; undefined: no limit. */
  requestsPerSecond: number | undefined
}

/** `/v1`, behind its tokens, with a limit for each of them. It refuses every request once the process is stopping. */
export async function registerApi(server: FastifyInstance, api: Api): Promise<void> {
  const { tokens, isOpen, vitals } = api
  await server.register(async (scope) => {
    requireBearer(scope, { tokens, isOpen, clock: vitals.clock })
    await limitRate(scope, api)
    scope.addHook('onRequest', async (_request, reply) => {
      if (vitals.phase !== 'stopping') return
      reply.header('retry-after', String(STOPPING_RETRY_S)).header('connection', 'close')
      throw new OrderExpiryError('STOPPING', 'this process is about to end: ask again, another one answers')
    })
    joinTraces(scope)
    const typed = scope.withTypeProvider<ZodTypeProvider>()
    registerOrders(typed, api)
    typed.get('/v1/forecast', { schema: routes.forecast }, async () => {
      const { at, ...rest } = await vitals.view.forecast()
      return { at: new Date(at).toISOString(), ...rest }
    })
    refuseOtherMethods(scope)
  })
}

async function limitRate(scope: FastifyInstance, { tokens, requestsPerSecond }: Api): Promise<void> {
  if (tokens.length === 0 || requestsPerSecond === undefined) return
  await scope.register(rateLimit, {
    max: requestsPerSecond,
    timeWindow: 1_000,
    keyGenerator: callerOf,
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
