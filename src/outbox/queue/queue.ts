import { OrderExpiryError } from '../../errors.ts'
import { EventQueue } from '../../queue/event-queue.ts'
import { Connection } from '../../redis/connection.ts'
import { namedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { cloudEvent } from '../cloud-event.ts'
import { deliverOver, REDIS_TIMEOUT_MS } from '../redis-delivery.ts'
import type { Sink, SinkOptions } from '../sink.ts'
import type { QueueSettings } from './settings.ts'

/** Additions on their way at once; none waits for the answer to another. */
const IN_FLIGHT = 128

/** Adds a job for each event to a queue of the shop, in the daemon's Redis and with the prefix of the daemon's own queue. */
export function openQueueOfShop({ EVENT_QUEUE: name }: QueueSettings, options: SinkOptions): Sink {
  if (name === undefined) throw new OrderExpiryError('INVALID_SETTINGS', 'EVENT_QUEUE: expected, given none')
  const { source, redisAddress, queue, clock } = options
  const profile = commandProfile(redisAddress, REDIS_TIMEOUT_MS)
  const connection = new Connection({ address: redisAddress, profile })
  const jobs = new EventQueue({ connection, queue: namedQueue({ name, prefix: queue.prefix }) })
  return {
    name: 'queue',
    concurrency: IN_FLIGHT,
    deliver(event) {
      const { id, type } = event
      return deliverOver(connection, { add: () => jobs.add({ id, type, data: cloudEvent(event, source) }), clock })
    },
    close: () => jobs.close(),
  }
}
