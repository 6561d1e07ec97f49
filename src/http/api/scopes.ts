import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import type { Scope } from '../../settings/credentials.ts'

/**
 * Refuses what the token of a request may not do.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-3.1
 */
export function requireScopes(scope: FastifyInstance): void {
  scope.addHook('onRequest', async (request, reply) => {
    const { caller, scopes } = request
    const needed = scopeOf(request)
    if (!scopes || scopes.includes(needed)) return
    reply.header('www-authenticate', `Bearer realm="order-expiry", error="insufficient_scope", scope="${needed}"`)
    const message = `expected a token with the scope ${needed}; ${caller} of API_TOKENS has ${scopes.join('+')}`
    throw new OrderExpiryError('FORBIDDEN', message)
  })
}

export function scopeOf({ method, routeOptions }: FastifyRequest): Scope {
  if (['GET', 'HEAD', 'OPTIONS'].includes(method)) return 'read'
  return routeOptions.url?.endsWith('/paid') ? 'pay' : 'schedule'
}
