import type { RedisOptions } from 'ioredis'
import { OrderExpiryError } from '../errors.ts'

/**
 * Where Redis is: a URL (`redis://`, `rediss://`, `unix:///path/to.sock`), ioredis options, or an ioredis client. A client
 * only tells the address, for a connection of our own: its time-outs are not those that we promise.
 */
export type RedisAddress = string | RedisProfile | { options: RedisProfile }

/** Everything of ioredis' options but the shape of replies, on which we and BullMQ rely. */
export type RedisProfile = Omit<RedisOptions, 'replyMapping'>

/** ioredis options for an address. @throws {OrderExpiryError} INVALID_OPTIONS, without the password */
export function parseRedisAddress(address: RedisAddress): RedisProfile {
  if (typeof address !== 'string') return isClient(address) ? addressOf(address.options) : { ...address }
  if (!/^(rediss?|unix):\/\//.test(address) || !URL.canParse(address)) throw invalid('something else')
  const url = new URL(address)
  const isUnix = url.protocol === 'unix:'
  if (isUnix && url.host) throw invalid('something else')
  if (!isUnix && (url.search || url.hash)) throw invalid('a query or fragment, which would have no effect')
  if (url.port === '0') throw invalid('port 0')
  const db = isUnix ? (url.searchParams.get('db') ?? '') : url.pathname.slice(1)
  if (!/^\d{0,9}$/.test(db)) throw invalid('a database that is not a number')
  return {
    ...(isUnix
      ? { path: decode(url.pathname) }
      : { host: url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1', port: Number(url.port) || 6379 }),
    ...(url.username && { username: decode(url.username) }),
    ...(url.password && { password: decode(url.password) }),
    ...(db && { db: Number(db) }),
    ...(url.protocol === 'rediss:' && { tls: {} }),
  }
}

function isClient(address: object): address is { options: RedisProfile } {
  return 'sendCommand' in address && 'options' in address
}

function addressOf({ host, port, path, family, username, password, db, tls }: RedisProfile): RedisProfile {
  const address = { host, port, path, family, username, password, db, tls }
  return Object.fromEntries(Object.entries(address).filter(([, value]) => value != null))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid('a percent sign that encodes nothing')
  }
}

/** Never shows the URL: whatever is wrong with it, a part of it can be the password. */
function invalid(given: string): OrderExpiryError {
  const expected = 'redis://[user:password@]host[:port][/db], rediss://… or unix:///path'
  return new OrderExpiryError('INVALID_OPTIONS', `expected ${expected}, given ${given}`)
}

/** Where an address points to, for people: no user, no password. */
export function describeRedisAddress(address: RedisAddress): string {
  const { path, host = '127.0.0.1', port = 6379 } = parseRedisAddress(address)
  return path ? `unix:${path}` : `${host}:${port}`
}
