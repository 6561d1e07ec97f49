import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { OrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { ApiToken, BoardUser, Scope } from '../settings/credentials.ts'
import { type Front, withoutPort } from './front.ts'
import type { Guesses } from './guesses.ts'
import { proxyUserOf } from './proxy-user.ts'
import { refuseOtherNames } from './same-site.ts'

export interface Door {
  name: 'api' | 'pages' | 'docs' | 'metrics'
  /** They come in with HTTP Basic (RFC 7617). */
  users?: readonly BoardUser[]
  /** Whom a trusted proxy names comes in as well. Undefined: nobody does. */
  front?: Front
  /** They come in with `Authorization: Bearer` (RFC 6750). */
  tokens?: readonly ApiToken[]
  /** Whether it is open where there are neither users nor tokens: to requests to a name of this machine, read-only. */
  isOpen: boolean
  /** The settings with its users and tokens. */
  settings: string
}

/** What all doors of a server share. */
interface Watch {
  guesses: Guesses
  events: EventBus
  clock: Clock
}

/** Who comes in with certain credentials. */
interface Key {
  digest: Buffer
  caller: string
  role?: BoardUser['role']
  scopes?: readonly Scope[] | undefined
  expiresAt?: number | undefined
}

/**
 * Afterwards the routes of this scope are closed to whoever is not one of the door's users or tokens, compared in constant
 * time, and is not named by a trusted proxy; `request.caller` is the name. Wrong ones are counted, and refused unread once there are too many ({@link Guesses}).
 */
export function guard(scope: FastifyInstance, { door, watch }: { door: Door; watch: Watch }): void {
  const keys = keysOf(door)
  if (keys.length === 0 && door.front?.userHeader === undefined) {
    if (door.isOpen) refuseOtherNames(scope)
    else close(scope, door)
    return
  }
  scope.addHook('onRequest', async (request, reply) => {
    const named = door.front && proxyUserOf(request, { front: door.front, users: door.users ?? [] })
    if (named) {
      request.caller = named.name
      request.role = named.role
      return
    }
    const given = readCredentials(request.headers.authorization)
    if (given === undefined) throw refuse({ door, reply, why: 'given none' })
    const key = findKey({ keys, digest: digestOf(given), door, watch, request, reply })
    if (!key) throw refuse({ door, reply, why: 'given a wrong one', isWrong: true })
    if (key.expiresAt !== undefined && key.expiresAt <= watch.clock.now()) {
      throw refuse({ door, reply, why: `given ${key.caller}, which has expired`, isWrong: true })
    }
    request.caller = key.caller
    if (key.role) request.role = key.role
    if (key.scopes) request.scopes = key.scopes
  })
}

function keysOf({ users = [], tokens = [] }: Door): Key[] {
  return [
    ...users.map(({ name, password, role }) => ({ digest: digestOf(`Basic ${name}:${password}`), caller: name, role })),
    ...tokens.map(({ name, token, ...more }) => ({ digest: digestOf(`Bearer ${token}`), caller: name, ...more })),
  ]
}

function close(scope: FastifyInstance, { settings }: Door): void {
  scope.addHook('onRequest', async () => {
    throw new OrderExpiryError('FORBIDDEN', `this is closed to other machines and proxies until ${settings} is set`)
  })
}

/** The scheme and what it carries, decoded. Undefined: none, or none that can be read. */
function readCredentials(header = ''): string | undefined {
  const [, scheme = '', text = ''] = /^(Basic|Bearer) (\S+)$/i.exec(header) ?? []
  if (scheme.toLowerCase() === 'bearer') return `Bearer ${text}`
  return text === '' ? undefined : `Basic ${Buffer.from(text, 'base64')}`
}

/** @throws {OrderExpiryError} RATE_LIMITED, with Retry-After */
function findKey(options: {
  keys: readonly Key[]
  digest: Buffer
  door: Door
  watch: Watch
  request: FastifyRequest
  reply: FastifyReply
}): Key | undefined {
  const { keys, digest, door, watch, request, reply } = options
  const { guesses, events } = watch
  // A caller who has left has no address any more.
  const [address, route] = [withoutPort(request.ip ?? 'unknown'), request.routeOptions.url ?? 'none']
  const tell = (isLimited: boolean) =>
    events.emit('wrong-credentials', { door: door.name, route, address, isLimited, addresses: guesses.addresses })
  const waitS = guesses.secondsToWait({ address, digest })
  if (waitS > 0) {
    tell(true)
    reply.header('retry-after', String(waitS))
    const message = `too many wrong passwords or tokens from this address: nothing more is tried for ${waitS} s`
    throw new OrderExpiryError('RATE_LIMITED', message)
  }
  // Every key is compared, even after a match, so that it takes the same time whichever is right.
  const found = keys.filter((key) => timingSafeEqual(key.digest, digest)).at(-1)
  if (found) guesses.rememberRight({ address, digest })
  else {
    guesses.countWrong(address)
    tell(false)
  }
  return found
}

/** The error to throw; its answer says how to come in. */
function refuse(options: { door: Door; reply: FastifyReply; why: string; isWrong?: boolean }): OrderExpiryError {
  const { door, reply, why, isWrong = false } = options
  const { users = [], tokens = [], settings, front } = door
  const challenges = [
    ...(users.length > 0 ? ['Basic realm="order-expiry", charset="UTF-8"'] : []),
    ...(tokens.length > 0 ? [`Bearer realm="order-expiry"${isWrong ? ', error="invalid_token"' : ''}`] : []),
  ]
  if (challenges.length > 0) reply.header('www-authenticate', challenges)
  const what = [
    front?.userHeader !== undefined && `${front.userHeader} from a proxy of TRUSTED_PROXY`,
    users.length > 0 && `a user and the password of ${settings}`,
    tokens.length > 0 && `Authorization: Bearer with a token of ${settings}`,
  ]
  return new OrderExpiryError('UNAUTHORIZED', `expected ${what.filter(Boolean).join(', or ')}, ${why}`)
}

/** Of equal length for all texts, so that they can be compared in constant time. */
function digestOf(text: string): Buffer {
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
    /** What the token may do; undefined: everything. */
    scopes?: readonly Scope[]
  }
}
