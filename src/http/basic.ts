import basicAuth from '@fastify/basic-auth'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../errors.ts'
import { type Credentials, findUser } from './auth.ts'
import { refuseOtherNames } from './same-site.ts'

export type Role = 'viewer' | 'operator'

export interface User extends Credentials {
  role: Role
}

/**
 * Afterwards the pages of this scope want HTTP Basic with one of the users. Without users they are open to everybody if
 * `isOpen`, for looking only, else closed.
 *
 * @returns whose role a request has
 */
export async function requireBasic(
  scope: FastifyInstance,
  options: { users: readonly User[]; isOpen: boolean },
): Promise<(request: FastifyRequest) => Role> {
  const { users, isOpen } = options
  const roles = new Map(users.map(({ name, role }) => [name, role]))
  if (users.length === 0) {
    if (isOpen) refuseOtherNames(scope)
    else {
      scope.addHook('onRequest', async () => {
        throw new OrderExpiryError('FORBIDDEN', 'this page is closed on this address until BOARD_USERS is set')
      })
    }
    return () => 'viewer'
  }
  await scope.register(basicAuth, {
    authenticate: { realm: 'order-expiry' },
    async validate(name, password, request) {
      const user = findUser(users, { name, password })
      if (!user) throw new OrderExpiryError('UNAUTHORIZED', 'expected a user of BOARD_USERS and the password')
      request.caller = user.name
      return undefined
    },
  })
  scope.addHook('onRequest', scope.basicAuth)
  return ({ caller }) => roles.get(caller ?? '') ?? 'viewer'
}
