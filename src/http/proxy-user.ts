import type { FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../errors.ts'
import type { BoardUser } from '../settings/credentials.ts'
import type { Front } from './front.ts'
import { isOwnOrPrivateName, nameOfHost } from './same-site.ts'

const LONGEST_NAME = 200

/**
 * Who sends a request, if a trusted proxy says so: an operator if BOARD_USERS or TRUSTED_PROXY_OPERATORS has this name as
 * one, else a viewer. Undefined: it says nothing, or anybody else says it.
 *
 * @throws {OrderExpiryError} UNAUTHORIZED, FORBIDDEN: what the proxy says cannot be relied on
 */
export function proxyUserOf(
  request: FastifyRequest,
  options: { front: Front; users: readonly BoardUser[] },
): Pick<BoardUser, 'name' | 'role'> | undefined {
  const { front, users } = options
  const { userHeader: header, isTrusted } = front
  const peer = request.socket.remoteAddress
  const given = header === undefined ? undefined : request.raw.headersDistinct[header]
  if (given === undefined || !isTrusted(peer) || given.every((value) => value.trim() === '')) return undefined
  if (given.length > 1) {
    const message = `expected one ${header}, given ${given.length}: have the proxy replace it`
    throw new OrderExpiryError('UNAUTHORIZED', message)
  }
  expectNotFromBrowser(request, front)
  const name = textOf(given[0] as string).trim()
  if (name.length > LONGEST_NAME || /\p{C}/u.test(name)) {
    throw new OrderExpiryError('UNAUTHORIZED', `${header}: expected a name of up to ${LONGEST_NAME} visible characters`)
  }
  const isOperator =
    front.operators.includes(name) || users.some((user) => user.name === name && user.role === 'operator')
  return { name, role: isOperator ? 'operator' : 'viewer' }
}

/**
 * A browser on the proxy's own machine could be led here by another site's name (DNS rebinding), and its page could then send
 * the header itself. So the host must be a name that no other site can have.
 */
function expectNotFromBrowser({ socket, headers }: FastifyRequest, { origin }: Front): void {
  const host = nameOfHost(headers.host)
  const isPublic = origin !== undefined && new URL(origin).hostname === host
  if (isPublic || isOwnOrPrivateName(host) || !/^(::1|(::ffff:)?127\.)/.test(socket.remoteAddress ?? '')) return
  const message =
    'expected the host of PUBLIC_URL or a local name as the host of what a proxy on this machine sends: set PUBLIC_URL'
  throw new OrderExpiryError('FORBIDDEN', message)
}

/** Node reads headers as Latin-1, and proxies write names in UTF-8. */
function textOf(header: string): string {
  const text = Buffer.from(header, 'latin1').toString('utf8')
  return text.includes('\ufffd') ? header : text
}
