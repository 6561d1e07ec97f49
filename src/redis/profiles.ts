import { systemClock } from '../runtime/clock.ts'
import { backoffMs } from '../runtime/retry.ts'
import { parseRedisAddress, type RedisAddress, type RedisProfile } from './address.ts'

/** A connection on which an answer is so long overdue is dead, though nothing says so: it is made anew. */
const SOCKET_TIMEOUT_MS = 5_000

const READ_ONLY_RECONNECT_MS = 1_000

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
