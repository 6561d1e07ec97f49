import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { OrderExpiryError } from '../../errors.ts'
import { joinTraces } from '../trace-context.ts'
import { registerBatch } from './batch.ts'
import { callerOf, requireBearer, type Token } from './bearer.ts'
import { registerExplain } from './explain.ts'
import { registerForecast } from './forecast.ts'
import { type OrdersApi, registerOrders } from './orders.ts'

const STOPPING_RETRY_S = 1

export interface Api extends OrdersApi {
  tokens: readonly Token[]
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
    const routes = scope.withTypeProvider<ZodTypeProvider>()
    registerOrders(routes, api)
    registerBatch(routes, api)
    registerExplain(routes, vitals)
    registerForecast(routes, vitals)
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
