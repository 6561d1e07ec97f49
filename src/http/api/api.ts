import rateLimit from '@fastify/rate-limit'
import { context, propagation } from '@opentelemetry/api'
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { OrderExpiryError } from '../../errors.ts'
import type { Vitals } from '../../observe/vitals.ts'
import { callerOf } from '../auth.ts'
import type { Admit } from '../doors.ts'
import { notAllowed } from '../problem.ts'
import { tellOfChanges } from './changes.ts'
import { type OrdersApi, registerOrders } from './orders.ts'
import { routes } from './routes.ts'
import { requireScopes } from './scopes.ts'

const STOPPING_RETRY_S = 1

interface Api extends OrdersApi {
  vitals: Vitals & OrdersApi['vitals']
  admit: Admit
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

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'] as const
const URLS = ['/v1/orders/:id', '/v1/orders/:id/paid', '/v1/orders/:id/explain', '/v1/forecast']

/**
 * A path that exists, but not for this method, is answered with 405 and the allowed methods (RFC 9110, 15.5.6); OPTIONS with
 * these alone (9.3.7).
 */
function refuseOtherMethods(scope: FastifyInstance): void {
  for (const url of URLS) {
    const taken = METHODS.filter((method) => scope.hasRoute({ url, method }))
    const allowed = [...taken, 'OPTIONS'].join(', ')
    scope.options(url, { schema: { hide: true } }, async (_request, reply) =>
      reply.code(204).header('allow', allowed).send(),
    )
    scope.route({
      method: METHODS.filter((method) => method !== 'OPTIONS' && !taken.includes(method)),
      url,
      schema: { hide: true },
      // After the limit of the caller, before the body.
      preParsing: async (request, reply) => {
        throw notAllowed(allowed, request, reply)
      },
      handler: () => {},
    })
  }
}
