import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { joinTraces } from '../trace-context.ts'
import { callerOf, requireBearer, type Token } from './bearer.ts'
import { type ExplainApi, registerExplain } from './explain.ts'
import { type ForecastApi, registerForecast } from './forecast.ts'
import { type OrdersApi, registerOrders } from './orders.ts'

const STOPPING_RETRY_S = 1

/** `/v1`, behind its tokens, with a limit for each of them. It says so while the process is about to end. */
export async function registerApi(
  server: FastifyInstance,
  options: OrdersApi &
    ForecastApi &
    ExplainApi & {
      tokens: readonly Token[]
      /** Whether there may be no tokens. */
      isOpen: boolean
      /** Of each token; undefined: no limit. */
      requestsPerSecond: number | undefined
      isStopping: () => boolean
      clock: Clock
    },
): Promise<void> {
  const { tokens, isOpen, requestsPerSecond, isStopping, clock } = options
  await server.register(async (scope) => {
    requireBearer(scope, { tokens, isOpen, clock })
    if (tokens.length > 0 && requestsPerSecond !== undefined) {
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
    scope.addHook('onRequest', async (_request, reply) => {
      if (!isStopping()) return
      reply.header('retry-after', String(STOPPING_RETRY_S)).header('connection', 'close')
      throw new OrderExpiryError('STOPPING', 'this process is about to end: ask again, another one answers')
    })
    joinTraces(scope)
    registerOrders(scope, options)
    registerExplain(scope, options)
    registerForecast(scope, options)
    refuseOtherMethods(scope)
  })
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const
const ALLOWED: Record<string, readonly string[]> = {
  '/v1/orders/:id': ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'],
  '/v1/orders/:id/paid': ['POST'],
  '/v1/orders/:id/explain': ['GET', 'HEAD'],
  '/v1/forecast': ['GET', 'HEAD'],
}

/** What is there, but not by this method, is answered with 405 and the methods that are (RFC 9110, 15.5.6). */
function refuseOtherMethods(scope: FastifyInstance): void {
  for (const [url, allowed] of Object.entries(ALLOWED)) {
    scope.route({
      method: METHODS.filter((method) => !allowed.includes(method) && !scope.hasRoute({ url, method })),
      url,
      schema: { hide: true },
      handler: async (request, reply) => {
        reply.header('allow', allowed.join(', '))
        throw new OrderExpiryError('METHOD_NOT_ALLOWED', `expected ${allowed.join(', ')}, given ${request.method}`)
      },
    })
  }
}
