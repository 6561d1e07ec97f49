import { timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { digest } from '../auth.ts'
import { refuseOtherNames } from '../same-site.ts'

export interface Token {
  name: string
  token: string
  /** Epoch milliseconds. Undefined: it does not expire. */
  expiresAt?: number
}

/**
 * Afterwards the routes of this scope want `Authorization: Bearer` (RFC 6750) with one of the tokens, compared in constant
 * time; `request.caller` is its name. Without tokens they are open to everybody if `isOpen`, else closed.
 */
export function requireBearer(
  scope: FastifyInstance,
  options: { tokens: readonly Token[]; isOpen: boolean; clock: Clock },
): void {
  const { isOpen, clock } = options
  const known = options.tokens.map((token) => ({ ...token, digest: digest(token.token) }))
  if (known.length === 0 && isOpen) {
    refuseOtherNames(scope)
    return
  }
  scope.addHook('onRequest', async (request, reply) => {
    if (known.length === 0) {
      throw new OrderExpiryError('FORBIDDEN', 'the API is closed on this address until API_TOKENS is set')
    }
    const given = /^Bearer ([^\s]+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (given === undefined) {
      reply.header('www-authenticate', 'Bearer realm="order-expiry"')
      throw new OrderExpiryError(
        'UNAUTHORIZED',
        'expected Authorization: Bearer with a token of API_TOKENS, given none',
      )
    }
    // Each of them is compared, so that it takes the same time whichever is right.
    const givenDigest = digest(given)
    const token = known.filter((token) => timingSafeEqual(token.digest, givenDigest)).at(-1)
    if (!token || (token.expiresAt !== undefined && token.expiresAt <= clock.now())) {
      reply.header('www-authenticate', 'Bearer realm="order-expiry", error="invalid_token"')
      const what = token ? `the token ${token.name} has expired` : 'expected a token of API_TOKENS, given another one'
      throw new OrderExpiryError('UNAUTHORIZED', what)
    }
    request.caller = token.name
  })
}

/** Who sent a request, for logs and limits. */
export function callerOf(request: FastifyRequest): string {
  return request.caller ?? 'anonymous'
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The name of the token or user that was given. */
    caller?: string
  }
}
