import { isIP } from 'node:net'
import type { RedisOptions } from 'ioredis'
import { OrderExpiryError } from '../errors.ts'
import { type Fields, refuseUnknown } from '../runtime/fields.ts'
import { parseRedisAddress, type RedisAddress, type RedisNames, type RedisProfile } from './address.ts'

/**
 * Where Redis is, as a shop says it: a URL (`redis://`, `rediss://`, `unix:///path/to.sock`), ioredis options, or an ioredis
 * client; both may lead to the primary that Sentinels know. A client only tells the address, for a connection of our own:
 * its time-outs are not those that we promise, and its `keyPrefix` not the daemon's.
 */
export type ShopRedis = RedisAddress | RedisClient

/** An ioredis client, also one of another version of ioredis than ours. */
interface RedisClient {
  options: object
  status: string
  sendCommand: (...args: never[]) => unknown
}

/** What a shop calls what it gives. */
export const SHOP_REDIS: RedisNames = {
  url: 'the option redis',
  servername: 'redis.tls.servername',
  ca: 'redis.tls.ca',
  cert: 'redis.tls.cert',
  key: 'redis.tls.key',
  withTls: 'begin its URL with rediss://, or give { host, port, tls: {} }',
  withoutTls: 'begin its URL with redis://, or leave out tls',
}

/** What tells one Redis from another; the rest of a client's options is about how it is used. */
const ADDRESS = [
  ...(['host', 'port', 'path', 'family', 'username', 'password', 'db', 'tls', 'Connector'] as const),
  ...(['sentinels', 'name', 'role', 'preferredSlaves', 'natMap', 'enableTLSForSentinelMode'] as const),
  ...(['sentinelUsername', 'sentinelPassword', 'sentinelTLS', 'sentinelCommandTimeout'] as const),
] as const satisfies readonly (keyof RedisProfile)[]

/** What tells where Redis is: without any of these, ioredis connects to localhost:6379. */
const PLACES = ['host', 'port', 'path', 'sentinels', 'Connector'] as const

/** A number, also as the text of an environment variable. */
const isNumber = (value: unknown, least: number, most: number) =>
  /^\d{1,9}$/.test(String(value)) && Number(value) >= least && Number(value) <= most
const text = { is: (value: unknown) => typeof value === 'string', expected: 'a string' }

/** What ioredis takes as said. */
const VALUES: Partial<Record<keyof RedisProfile, { is: (value: unknown) => boolean; expected: string }>> = {
  host: {
    is: (value) => typeof value === 'string' && (isIP(value) > 0 || /^[^\s/:@]+$/.test(value)),
    expected: 'a name or an address alone, without port or protocol',
  },
  port: { is: (value) => isNumber(value, 1, 65_535), expected: 'a number from 1 to 65535' },
  db: { is: (value) => isNumber(value, 0, 999_999_999), expected: 'a number from 0 on' },
  tls: { is: (value) => typeof value === 'object' || typeof value === 'boolean', expected: 'options of TLS' },
  path: text,
  username: text,
  password: text,
  name: text,
}

const FIELDS: Fields = {
  of: 'the option redis',
  known: [
    ...ADDRESS,
    ...(['sentinelRetryStrategy', 'sentinelReconnectStrategy', 'sentinelMaxConnections'] as const),
    ...(['updateSentinels', 'failoverDetector', 'connectTimeout', 'commandTimeout', 'socketTimeout'] as const),
    ...(['blockingTimeout', 'blockingTimeoutGrace', 'disconnectTimeout', 'keepAlive', 'noDelay'] as const),
    ...(['retryStrategy', 'reconnectOnError', 'maxRetriesPerRequest', 'maxLoadingRetryTime', 'lazyConnect'] as const),
    ...(['connectionName', 'disableClientInfo', 'clientInfoTag', 'readOnly', 'stringNumbers', 'protocol'] as const),
    ...(['autoResubscribe', 'autoResendUnfulfilledCommands', 'enableOfflineQueue', 'enableReadyCheck'] as const),
    ...(['enableAutoPipelining', 'autoPipeliningIgnoredCommands', 'showFriendlyErrorStack', 'scripts'] as const),
    ...(['offlineQueue', 'commandQueue', 'himportFieldsets', 'keyPrefix'] as const),
  ] satisfies (keyof RedisOptions)[],
  meant: {
    host: /host|server|address|socket/i,
    db: /database/i,
    username: /user/i,
    password: /pass|auth|secret/i,
    tls: /tls|ssl/i,
  },
  code: 'INVALID_OPTIONS',
}

/**
 * The address of what a shop gives. Nothing is connected to.
 *
 * @throws {OrderExpiryError} INVALID_OPTIONS, if it cannot be followed: never does something else mean localhost:6379
 */
export function addressOf(given: unknown): RedisAddress {
  if (typeof given === 'string') return checkUrl(given)
  if (typeof given !== 'object' || given === null) throw refused(given === null ? 'null' : typeof given)
  if (isCluster(given)) throw refused(CLUSTER)
  if (Array.isArray(given)) throw refused('a list')
  return checkPlace('sendCommand' in given ? addressOfClient(given) : optionsOf(given))
}

function checkUrl(url: string): string {
  if (/^redis[+-]sentinel/i.test(url)) throw refused('a URL of Sentinels: give options with sentinels and name')
  if (/^redis[+-]cluster/i.test(url)) throw refused(CLUSTER)
  try {
    parseRedisAddress(url, SHOP_REDIS)
    return url
  } catch (error) {
    throw new OrderExpiryError('INVALID_OPTIONS', `redis: ${(error as Error).message}`)
  }
}

const CLUSTER = 'a Redis Cluster, which orders cannot be scheduled in: give the URL of a Redis that is no cluster'

function isCluster(given: object): boolean {
  return 'nodes' in given || ('isCluster' in given && given.isCluster === true)
}

function addressOfClient(client: object): RedisProfile {
  const { options, status } = client as Partial<RedisClient>
  if (typeof options !== 'object' || options === null || typeof status !== 'string') {
    throw refused('a client of another package: give its URL')
  }
  const has = options as RedisProfile
  const address = ADDRESS.map((name) => [name, has[name]] as const)
  return Object.fromEntries(address.filter(([, value]) => value !== null && value !== undefined))
}

function optionsOf(given: object): RedisProfile {
  if ('url' in given) throw refused('an object with url: give the URL itself')
  if ('href' in given) throw refused('a URL as an object: give its text')
  refuseUnknown(given, FIELDS)
  const options = given as RedisProfile
  for (const name of PLACES) {
    const value = options[name]
    if (name in options && (value === undefined || value === null || value === '')) {
      throw refused(`${name}: ${value === '' ? 'an empty string' : value}`)
    }
  }
  if (options.keyPrefix) throw refused('keyPrefix, under which the daemon does not look: queuePrefix is what both have')
  if (options.stringNumbers)
    throw refused('stringNumbers, which changes the answers that the library reads: leave it out')
  return { ...options }
}

function checkPlace(address: RedisProfile): RedisProfile {
  if (!PLACES.some((name) => address[name] != null)) throw refused(listOf(Object.keys(address)))
  checkValues(address, '')
  if (!address.sentinels) return address
  if (!Array.isArray(address.sentinels) || address.sentinels.length === 0) throw refused('sentinels: none')
  for (const sentinel of address.sentinels as unknown[]) {
    const { host } = (sentinel ?? {}) as { host?: unknown }
    if (host === undefined || host === null) throw refused('a Sentinel without host')
    checkValues(sentinel as object, 'sentinels: ')
  }
  if (!address.name) throw refused('sentinels without name, that of the primary')
  if (address.role && address.role !== 'master') throw refused(`role: ${address.role}, where nothing can be written`)
  return address
}

/** With a value that is none of these, ioredis ends the process, tries for ever, or shows a password as a host. */
function checkValues(given: object, where: string): void {
  for (const [name, { is, expected }] of Object.entries(VALUES)) {
    const value: unknown = given[name as keyof typeof given]
    if (value === undefined || value === null || is(value)) continue
    const shown = typeof value === 'number' ? value : typeof value
    throw new OrderExpiryError('INVALID_OPTIONS', `redis: ${where}${name}: expected ${expected}, given ${shown}`)
  }
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'an object that names none' : `only ${names.join(', ')}`
}

/** Never shows a value: it can be a password. */
function refused(given: string): OrderExpiryError {
  const expected = 'a URL, an ioredis client, or ioredis options with host, port, path or sentinels'
  return new OrderExpiryError('INVALID_OPTIONS', `redis: expected ${expected}, given ${given}`)
}
