import { OrderExpiryError } from '../../errors.ts'
import { Connection } from '../../redis/connection.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { cloudEvent } from '../cloud-event.ts'
import { deliverOver, REDIS_TIMEOUT_MS } from '../redis-delivery.ts'
import type { Sink, SinkOptions } from '../sink.ts'
import type { StreamSettings } from './settings.ts'

/** Commands on their way at once; none waits for the answer to another. */
const IN_FLIGHT = 256
/** The oldest go then, read or not: some 50 MB, in the Redis that also keeps the checks. */
const MOST_ENTRIES = 100_000

/** Adds each event to a stream of the daemon's Redis, whose readers must know an `id` that they have seen before. */
export function openStream({ EVENT_STREAM: key }: StreamSettings, options: SinkOptions): Sink {
  if (key === undefined) throw new OrderExpiryError('INVALID_SETTINGS', 'EVENT_STREAM: expected, given none')
  const { source, redisAddress, clock } = options
  const profile = commandProfile(redisAddress, REDIS_TIMEOUT_MS)
  const connection = new Connection({ address: redisAddress, profile })
  return {
    name: 'stream',
    concurrency: IN_FLIGHT,
    deliver(event) {
      const { id, type } = event
      const fields = ['id', id, 'type', type, 'event', JSON.stringify(cloudEvent(event, source))]
      const add = () => connection.redis.xadd(key, 'MAXLEN', '~', MOST_ENTRIES, '*', ...fields)
      return deliverOver(connection, { add, clock })
    },
    close: async () => connection.close(),
  }
}
