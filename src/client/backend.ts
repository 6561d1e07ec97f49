import type { RedisNames } from '../redis/address.ts'
import { Connection } from '../redis/connection.ts'
import { namedQueue } from '../redis/keys.ts'
import { producerProfile } from '../redis/profiles.ts'
import { SHOP_REDIS } from '../redis/shop-redis.ts'
import { systemClock } from '../runtime/clock.ts'
import { type OrderRecords, RECORDS } from '../stores/records.ts'
import { BoundedCalls, CALL_TIMEOUT_MS } from './bounded-call.ts'
import { QueueChecks } from './checks.ts'
import type { parseClientOptions } from './options.ts'

/** The records of orders, as the calls of a client need them. */
export type ClientRecords = Pick<OrderRecords, 'record' | 'move' | 'withdraw' | 'pay' | 'find'>

/** What a client works on: Redis, or the memory of a test. */
export interface Backend {
  calls: BoundedCalls
  orders: ClientRecords | undefined
  /** @returns epoch milliseconds */
  now: () => number
}

/** Redis, which is connected to with the first call. @param names of what would help, for the texts of errors */
export function redisBackend(options: ReturnType<typeof parseClientOptions>, names: RedisNames = SHOP_REDIS): Backend {
  const { redis: address, orders, queueName, queuePrefix } = options
  const queue = namedQueue({ name: queueName, prefix: queuePrefix })
  // Each call has a time-out; one per command would cost as much as the command itself.
  const { commandTimeout: _, ...profile } = producerProfile(address, CALL_TIMEOUT_MS)
  const connection = new Connection({ address, profile, names })
  const checks = new QueueChecks({ connection, queue })
  const calls = new BoundedCalls({
    open: () => checks.open(),
    explain: (error) => connection.explain(error),
    close: () => checks.close(),
  })
  return { calls, orders: orders && new RECORDS[orders]({ redis: connection.redis, queue }), now: systemClock.now }
}
