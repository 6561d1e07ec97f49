import { isNativeError } from 'node:util/types'
import { compareClocks } from '../../doctor/clock-offset.ts'
import { examine, type Finding, finding, listed, ok } from '../../doctor/finding.ts'
import { lookAtCertificate, tlsFinding } from '../../doctor/tls-finding.ts'
import type { OrderExpiryError } from '../../errors.ts'
import { describeRedisAddress, parseRedisAddress, REDIS_SETTINGS, type RedisAddress } from '../../redis/address.ts'
import { Connection, tlsDoubt } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import { timeOf } from '../../redis/time.ts'
import { tlsTrouble } from '../../runtime/certificates.ts'
import type { Clock } from '../../runtime/clock.ts'
import { count } from '../../runtime/human-numbers.ts'
import { withTimeout } from '../../runtime/timeout.ts'
import { lookAtEviction, lookAtListpack, lookAtMemory } from './memory.ts'
import { lookAtPersistence, lookAtWrites } from './persistence.ts'
import { lookAtSlots } from './slots.ts'
import { lookAtRefused, type RedisState, readState } from './state.ts'

const ANSWER_TIMEOUT_MS = 3_000
const CONNECT_TIMEOUT_MS = 4_000
const REDIS_LIMIT_MS = 6_000
const NEEDED_VERSION = 6.2
const TESTED_VERSION = 7

const looks = [
  lookAtVersion,
  lookAtRole,
  lookAtReplicas,
  lookAtPersistence,
  lookAtWrites,
  lookAtEviction,
  lookAtMemory,
  lookAtListpack,
]

/**
 * Looks at the Redis server, and changes nothing. Ends within 20 s, whatever is down.
 *
 * @param options.keepsOrders whether the orders themselves are in it
 */
export async function diagnoseRedis(options: {
  redis: RedisAddress
  keepsOrders: boolean
  clock: Clock
  queue: NamedQueue
}): Promise<Finding[]> {
  const { redis: address, keepsOrders, clock, queue } = options
  const connection = new Connection({ address, profile: commandProfile(address, ANSWER_TIMEOUT_MS) })
  const where = describeRedisAddress(address)
  const connected = connection.untilReady().then(() => connection.redis.time()) // with a disk error Redis refuses PING
  const onTimeout = () => new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1_000} s`)
  const look = async () => {
    const state = await readState(connection.redis, { keepsOrders, queue })
    return listed(
      ok('redis-reachable', `answers at ${where}`),
      lookAtTls(address),
      ...(state.info.size > 0 ? looks.map((lookAt) => lookAt(state)) : []),
      await lookAtSlots({ connection, queue, isCluster: state.info.get('cluster_enabled') === '1' }),
      await lookAtClock(connection, clock),
      lookAtRefused(state),
    )
  }
  try {
    await withTimeout({ work: connected, ms: CONNECT_TIMEOUT_MS, clock, onTimeout })
    return await examine({ code: 'redis-reachable', withinMs: REDIS_LIMIT_MS, clock, look })
  } catch (error) {
    return [unreachable(connection.explain(error), address), ...[lookAtTls(address)].filter(isNotOk)]
  } finally {
    connection.close()
  }
}

const isNotOk = ({ level }: Finding) => level !== 'ok'

/** What to do, by the code of Redis's error. */
const REMEDIES: Record<string, string> = {
  WRONGPASS: '# correct the user and the password in REDIS_URL',
  NOAUTH: '# give a password in REDIS_URL: redis://:password@host:6379',
  NOPERM: '# give the user of REDIS_URL the permissions of docs/redis.md',
  LOADING: '# it is reading its data after a restart: wait, and run doctor again',
}

function unreachable({ code, cause, message }: OrderExpiryError, address: RedisAddress): Finding {
  const where = describeRedisAddress(address)
  const { host = '127.0.0.1', port = 6379, tls } = parseRedisAddress(address)
  const trouble = tlsTrouble(cause, REDIS_SETTINGS)
  const why = isNativeError(cause) && cause.message ? cause.message : message
  const look = lookAtCertificate({ host, port, servername: tls?.servername, prefix: 'REDIS' })
  return finding('error', 'redis-reachable', {
    what: `${code === 'REDIS_REFUSED' ? 'refuses us' : 'cannot be reached'} at ${where}: ${trouble?.what ?? why}${tlsDoubt(cause, address)}`,
    meaning: 'No order can be scheduled, and none is checked on time.',
    fix: trouble
      ? [`# ${trouble.remedy} (docs/tls.md)`, look]
      : (REMEDIES[redisErrorCode(cause) ?? ''] ??
        `# start Redis, or correct REDIS_URL; then from this machine: ${tls ? look : 'redis-cli -u "$REDIS_URL" PING'}`),
  })
}

function lookAtTls(address: RedisAddress): Finding {
  const { path, host, tls } = parseRedisAddress(address)
  return tlsFinding({
    code: 'redis-tls',
    host: path ?? host,
    protection: { isEncrypted: Boolean(tls), isVerified: tls?.rejectUnauthorized !== false },
    encrypt: 'turn on TLS on the server, and begin REDIS_URL with rediss:// (docs/tls.md)',
    verify: 'take ssl_cert_reqs=none out of REDIS_URL, and set REDIS_TLS_CA_FILE (docs/tls.md)',
  })
}

function lookAtVersion({ info }: RedisState): Finding {
  const product = info.has('valkey_version') ? 'Valkey' : info.has('dragonfly_version') ? 'Dragonfly' : 'Redis'
  const version = info.get('valkey_version') ?? info.get('redis_version') ?? '0'
  const release = Number.parseFloat(version)
  const what = `${product} ${version}`
  if (release >= TESTED_VERSION) return ok('redis-version', what)
  const works = release >= NEEDED_VERSION
  return finding(works ? 'warning' : 'error', 'redis-version', {
    what: `${what}, ${works ? '7 or later is recommended' : 'expected 6.2 or later'}`,
    meaning: works
      ? 'It works, but is no longer maintained, and we do not test with it.'
      : 'BullMQ and the redis store use commands that it does not have.',
    fix: '# upgrade to Redis 7 or later, or Valkey',
  })
}

function lookAtRole({ info }: RedisState): Finding {
  if (info.get('role') !== 'slave') return ok('redis-role', 'primary, takes writes')
  const primary = `${info.get('master_host')}:${info.get('master_port')}`
  return finding('error', 'redis-role', {
    what: `is a replica of ${primary} (link ${info.get('master_link_status') ?? 'unknown'})`,
    meaning: 'It refuses writes: nothing can be scheduled, and no check can be finished.',
    fix: [
      `# point REDIS_URL to the primary, ${primary}; or, if this one is to become the primary:`,
      'REPLICAOF NO ONE',
    ],
  })
}

function lookAtReplicas({ info, config }: RedisState): Finding {
  const replicas = Number(info.get('connected_slaves') ?? 0)
  if (replicas === 0) return ok('redis-replicas', 'none')
  const least = config.get('min-replicas-to-write') ?? 'cannot be read here'
  return finding('info', 'redis-replicas', {
    what: `${count(replicas, 'replica')}, min-replicas-to-write ${least}`,
    meaning:
      'Replicas follow a moment later: a failover forgets the last writes, even acknowledged ones. With min-replicas-to-write above 0 Redis refuses writes when no replica keeps up.',
  })
}

function lookAtClock({ redis }: Connection, clock: Clock): Promise<Finding> {
  return compareClocks({
    code: 'redis-clock',
    clock,
    read: () => timeOf(redis),
    meaning:
      'Checks run by the clock of Redis, and the redis store decides by it: a deadline that is counted from the clock here comes that much too early or too late.',
  })
}
