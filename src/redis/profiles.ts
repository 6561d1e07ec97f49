import { systemClock } from '../runtime/clock.ts'
import { backoffMs } from '../runtime/retry.ts'
import { parseRedisAddress, type RedisAddress, type RedisProfile, serverName } from './address.ts'

/** A connection that owes an answer this long is dead, though nothing says so: ioredis makes a new one. */
const SOCKET_TIMEOUT_MS = 1_200
const READ_ONLY_RECONNECT_MS = 1_000

/**
 * After a failover the connection still leads to the old primary, which says READONLY: then the command fails, and ioredis
 * connects anew. Once a second at most: ioredis adds a listener each time, and a busy worker would do nothing else.
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

function commonProfile(address: RedisAddress): RedisProfile {
  const given = parseRedisAddress(address)
  const servername = serverName(given)
  return {
    connectTimeout: 5_000,
    keepAlive: 10_000,
    noDelay: true,
    // How long ioredis keeps a process alive after a lost connection is closed.
    disconnectTimeout: 500,
    // BullMQ's own back-off grows to 20 s, and every order that falls due in an outage would be that late.
    retryStrategy: (attempt) => backoffMs({ attempt, baseMs: 50, capMs: 1_000 }),
    reconnectOnError: reconnectWhenReadOnly(),
    ...given,
    ...(given.tls && !given.tls.servername && servername && { tls: { servername, ...given.tls } }),
  }
}

/** For shops' requests: fails fast, and sends nothing after the caller was told of a failure. */
export function producerProfile(address: RedisAddress, timeoutMs: number): RedisProfile {
  return { ...commandProfile(address, timeoutMs), enableOfflineQueue: false, autoResendUnfulfilledCommands: false }
}

/** For BullMQ workers: waits out every outage. A connection that blocks needs a longer socket time-out. */
export function workerProfile(address: RedisAddress): RedisProfile {
  return { ...commonProfile(address), maxRetriesPerRequest: null, socketTimeout: SOCKET_TIMEOUT_MS }
}

/** For single commands of the daemon: an answer or an error within `timeoutMs`. */
export function commandProfile(address: RedisAddress, timeoutMs: number): RedisProfile {
  return {
    ...commonProfile(address),
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 1,
    lazyConnect: true,
    socketTimeout: timeoutMs,
  }
}
