import type { Redis } from 'ioredis'
import { compareClocks } from '../../doctor/clock-offset.ts'
import { examine, type Finding, finding, listed, ok } from '../../doctor/finding.ts'
import type { OrderExpiryError } from '../../errors.ts'
import { describeRedisAddress, type RedisAddress } from '../../redis/address.ts'
import { Connection } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import type { Clock } from '../../runtime/clock.ts'
import { withTimeout } from '../../runtime/timeout.ts'
import { lookAtEviction, lookAtListpack, lookAtMemory } from './memory.ts'
import { lookAtPersistence, lookAtWrites } from './persistence.ts'
import { lookAtReplicas, lookAtRole, lookAtVersion } from './server.ts'
import { lookAtRefused, readState } from './state.ts'

const ANSWER_TIMEOUT_MS = 3_000
const CONNECT_TIMEOUT_MS = 4_000
const WITHIN_MS = 6_000

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
  try {
    await withTimeout({
      work: connection.untilReady().then(() => connection.redis.time()), // with a disk error Redis refuses PING
      ms: CONNECT_TIMEOUT_MS,
      clock,
      onTimeout: () => new Error(`no answer within ${CONNECT_TIMEOUT_MS / 1_000} s`),
    })
    return await examine({
      code: 'redis-reachable',
      withinMs: WITHIN_MS,
      clock,
      look: async () => {
        const state = await readState(connection.redis, { keepsOrders, queue })
        return listed(
          ok('redis-reachable', `answers at ${where}`),
          ...(state.info.size > 0 ? looks.map((look) => look(state)) : []),
          await lookAtClock(connection.redis, clock),
          lookAtRefused(state),
        )
      },
    })
  } catch (error) {
    return [unreachable(connection.explain(error), where)]
  } finally {
    connection.close()
  }
}

/** What to do, by the code of Redis's error. */
const REMEDIES: Record<string, string> = {
  WRONGPASS: '# correct the user and the password in REDIS_URL',
  NOAUTH: '# give a password in REDIS_URL: redis://:password@host:6379',
  NOPERM: '# give the user of REDIS_URL all commands on the keys of the queue: ACL SETUSER … ~* &* +@all',
  LOADING: '# it is reading its data after a restart: wait, and run doctor again',
}

function unreachable({ code, cause, message }: OrderExpiryError, where: string): Finding {
  const why = cause instanceof Error && cause.message ? cause.message : message
  return finding('error', 'redis-reachable', {
    what: `${code === 'REDIS_REFUSED' ? 'refuses us' : 'cannot be reached'} at ${where}: ${why}`,
    meaning: 'No order can be scheduled, and none is looked at on time.',
    fix:
      REMEDIES[redisErrorCode(cause) ?? ''] ??
      '# start Redis, or correct REDIS_URL; then from this machine: redis-cli -u "$REDIS_URL" PING',
  })
}

function lookAtClock(redis: Redis, clock: Clock): Promise<Finding> {
  const read = async () => {
    const [seconds, micros] = await redis.time()
    return Number(seconds) * 1_000 + Number(micros) / 1_000
  }
  return compareClocks({
    code: 'redis-clock',
    clock,
    read,
    meaning:
      'A check is due by the clock of the worker, and the redis store decides by the clock of Redis: checks come that much too early and are looked at again, or too late.',
  })
}
