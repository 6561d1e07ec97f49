import { once } from 'node:events'
import { Redis, type RedisOptions } from 'ioredis'
import { OrderExpiryError } from '../errors.ts'
import { systemClock } from '../runtime/clock.ts'
import { backoffMs } from '../runtime/retry.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { isRedisRefusal, isRedisRejection, redisErrorCode } from './reply.ts'

/**
 * Where Redis is: a URL (`redis://`, `rediss://`, `unix:///path/to.sock`), ioredis options, or an ioredis client. Of a
 * client only the address is used, on a connection of our own: its time-outs are not those that we promise.
 */
export type RedisAddress = string | RedisProfile | { options: RedisProfile }

/** Everything of ioredis' options but the shape of replies, on which we and BullMQ rely. */
export type RedisProfile = Omit<RedisOptions, 'replyMapping'>

const PROTOCOLS = ['redis:', 'rediss:', 'unix:']

/**
 * ioredis options for an address.
 *
 * @throws {OrderExpiryError} INVALID_OPTIONS; the message never contains the password
 */
export function parseRedisAddress(address: RedisAddress): RedisProfile {
  if (typeof address !== 'string') return isClient(address) ? addressOf(address.options) : { ...address }
  const url = URL.canParse(address) ? new URL(address) : undefined
  const isUnix = url?.protocol === 'unix:'
  if (!url || !PROTOCOLS.includes(url.protocol) || !address.startsWith(`${url.protocol}//`) || (isUnix && url.host)) {
    throw invalid('something else')
  }
  if (!isUnix && (url.search || url.hash)) throw invalid('a query or fragment, which would have no effect')
  if (url.port === '0') throw invalid('port 0')
  const db = isUnix ? (url.searchParams.get('db') ?? '') : url.pathname.slice(1)
  if (!/^\d{0,9}$/.test(db)) throw invalid('something that is no number as the database')
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
  return new OrderExpiryError(
    'INVALID_OPTIONS',
    `expected redis://[user:password@]host[:port][/db], rediss://… or unix:///path, given ${given}`,
  )
}

/** Where an address points to, for people: no user, no password. */
export function describeRedisAddress(address: RedisAddress): string {
  const { path, host = '127.0.0.1', port = 6379 } = parseRedisAddress(address)
  return path ? `unix:${path}` : `${host}:${port}`
}

/** A connection on which an answer is so long overdue is dead, though nothing says so: it is made anew. */
const SOCKET_TIMEOUT_MS = 5_000

const READ_ONLY_RECONNECT_MS = 1_000
const SELECT_MS = 5_000

const common: RedisProfile = {
  connectTimeout: 5_000,
  keepAlive: 10_000,
  noDelay: true,
  // How long ioredis keeps a process alive after a connection that was lost is closed.
  disconnectTimeout: 500,
  // The default back-off of BullMQ grows to 20 s, which every order that falls due in an outage would then be late.
  retryStrategy: (attempt) => backoffMs({ attempt, baseMs: 50, capMs: 1_000 }),
}

/**
 * After a failover the connection still leads to the old primary, which says READONLY: then it is made anew, and the command
 * fails. Not for each command: ioredis adds a listener each time, and a busy worker would do nothing else.
 */
function reconnectWhenReadOnly(): (error: Error) => 1 | false {
  let last = Number.NEGATIVE_INFINITY
  return (error) => {
    const now = systemClock.monotonic()
    if (!error.message.startsWith('READONLY') || now - last < READ_ONLY_RECONNECT_MS) return false
    last = now
    return 1
  }
}

/** For shops' requests: fails fast, and sends nothing later that was still waiting when the caller was told of a failure. */
export function producerProfile(address: RedisAddress, timeoutMs: number): RedisProfile {
  return {
    ...commandProfile(address, timeoutMs),
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
  }
}

/** For BullMQ workers: waits out every outage. The socket time-out is longer than the second that a worker may block. */
export function workerProfile(address: RedisAddress): RedisProfile {
  return {
    ...common,
    reconnectOnError: reconnectWhenReadOnly(),
    ...parseRedisAddress(address),
    maxRetriesPerRequest: null,
    socketTimeout: SOCKET_TIMEOUT_MS,
  }
}

/** For single commands of the daemon: an answer or an error within `timeoutMs`. */
export function commandProfile(address: RedisAddress, timeoutMs: number): RedisProfile {
  return {
    ...common,
    reconnectOnError: reconnectWhenReadOnly(),
    ...parseRedisAddress(address),
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 1,
    lazyConnect: true,
    socketTimeout: timeoutMs,
  }
}

/** A connection that reports its errors to `onError` instead of ending the process. Connects with its first command. */
export function openRedis(options: { profile: RedisProfile; onError?: (error: Error) => void }): Redis {
  const redis = new Redis(options.profile)
  redis.on('error', options.onError ?? (() => {}))
  return redis
}

/** A connection that knows why it is not there. */
export class Connection {
  readonly redis: Redis
  readonly #address: RedisAddress
  #lastError: Error | undefined
  #ready: Promise<void> | undefined

  constructor(options: { address: RedisAddress; profile: RedisProfile }) {
    this.#address = options.address
    this.redis = openRedis({
      profile: options.profile,
      onError: (error) => {
        this.#lastError = error
      },
    })
    this.redis.on('ready', () => {
      this.#lastError = undefined
    })
  }

  /** Resolves when commands can be sent. Callers share one wait, so that an outage does not pile them up. */
  async untilReady(): Promise<void> {
    if (this.redis.status === 'ready') return
    this.#ready ??= this.#connect().finally(() => {
      this.#ready = undefined
    })
    await this.#ready
  }

  async #connect(): Promise<void> {
    if (this.redis.status === 'wait') await this.redis.connect()
    else await once(this.redis, 'ready') // rejects with the first error
    await this.selectDatabase()
  }

  /** Rejects if the database of the address does not exist; ioredis only reports that, and goes on with number 0. */
  async selectDatabase(): Promise<void> {
    const { db } = this.redis.options
    if (!db) return
    // Sent anew or lost with a connection, it may never be answered.
    const onTimeout = () => new Error(`no answer within ${SELECT_MS} ms`)
    await withTimeout({ work: this.redis.select(db), ms: SELECT_MS, clock: systemClock, onTimeout })
  }

  /** What went wrong, in our own words: where ioredis only says that a connection is closed, the reason why it is. */
  explain(error: unknown): OrderExpiryError {
    return asRedisError(redisErrorCode(error) ? error : (this.#lastError ?? error), this.#address)
  }

  close(): void {
    this.redis.disconnect()
  }
}

/** An error of a Redis command in our own words. */
export function asRedisError(error: unknown, address: RedisAddress): OrderExpiryError {
  if (error instanceof OrderExpiryError) return error
  const where = describeRedisAddress(address)
  const why = error instanceof Error ? error.message || error.name : String(error)
  const cause = { cause: error }
  return isRedisRefusal(error) || isRedisRejection(error)
    ? new OrderExpiryError(
        'REDIS_REFUSED',
        `Redis at ${where} refuses (${why}): check user, password, permissions and keys`,
        cause,
      )
    : new OrderExpiryError('REDIS_UNAVAILABLE', `Redis at ${where} cannot be used now (${why}); try again`, cause)
}
