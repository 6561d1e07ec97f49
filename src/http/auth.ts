import { createHash, timingSafeEqual } from 'node:crypto'
import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { ApiToken, BoardUser } from '../settings/credentials.ts'
import { refuseOtherNames } from './same-site.ts'

type Credentials = Pick<BoardUser, 'name' | 'password'>

/**
 * Afterwards the pages of this scope require HTTP Basic with one of the users, whose role the request has. Without
 * users they are open to everybody, read-only, if `isOpen`, else closed.
 */
export async function requireBasic(
  scope: FastifyInstance,
  { users, isOpen }: { users: readonly BoardUser[]; isOpen: boolean },
): Promise<void> {
  if (users.length === 0) {
    withoutCredentials(scope, { isOpen, refusal: 'this page is closed on this address until BOARD_USERS is set' })
    return
  }
  await scope.register(basicAuth, {
    authenticate: { realm: 'order-expiry' },
    async validate(name, password, request) {
      const user = findUser(users, { name, password })
      if (!user) throw new OrderExpiryError('UNAUTHORIZED', 'expected a user of BOARD_USERS and the password')
      request.caller = user.name
      request.role = user.role
      return undefined
    },
  })
  scope.addHook('onRequest', scope.basicAuth)
}

/** The user with this name and password. Takes the same time whether the name, the password or nothing is right. */
export function findUser<User extends Credentials>(users: readonly User[], given: Credentials): User | undefined {
  const [name, password] = [digest(given.name), digest(given.password)]
  // Every user is compared, even after a match.
  const found = users.filter((user) => {
    const isName = timingSafeEqual(digest(user.name), name)
    const isPassword = timingSafeEqual(digest(user.password), password)
    return isName && isPassword
  })
  return found.at(-1)
}

/**
 * Afterwards the routes of this scope require `Authorization: Bearer` (RFC 6750) with one of the tokens, compared in
 * constant time; `request.caller` is its name. Without tokens they are open to everybody if `isOpen`, else closed.
 */
export function requireBearer(
  scope: FastifyInstance,
  { tokens, isOpen, clock }: { tokens: readonly ApiToken[]; isOpen: boolean; clock: Clock },
): void {
  if (tokens.length === 0) {
    withoutCredentials(scope, { isOpen, refusal: 'the API is closed on this address until API_TOKENS is set' })
    return
  }
  const known = tokens.map((token) => ({ ...token, digest: digest(token.token) }))
  scope.addHook('onRequest', async (request, reply) => {
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

function withoutCredentials(scope: FastifyInstance, { isOpen, refusal }: { isOpen: boolean; refusal: string }): void {
  if (isOpen) refuseOtherNames(scope)
  else {
    scope.addHook('onRequest', async () => {
      throw new OrderExpiryError('FORBIDDEN', refusal)
    })
  }
}

/** Of equal length for all texts, so that they can be compared in constant time. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Who sent a request, for logs and limits. */
export function callerOf({ caller = 'anonymous' }: FastifyRequest): string {
  return caller
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The name of the token or user that was given. */
    caller?: string
    /** Of the user; undefined: no more than a viewer's. */
    role?: BoardUser['role']
  }
}
