import { randomUUID } from 'node:crypto'
import type { Config } from '../config.ts'
import type { EventBus } from '../observe/events.ts'
import type { Outbox } from '../order/outbox.ts'
import { createRelay } from '../outbox/relay.ts'
import { Shares } from '../outbox/shares.ts'
import { chosenSinks, openSink } from '../outbox/sinks.ts'
import { unwantedTypes } from '../outbox/wanted-events.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Service } from '../runtime/service.ts'

/** After a full batch, there are most likely more orders that are due. */
const BUSY_FOR_MS = 200

/** A relay for each sink that the settings ask for. Those of all processes share the events. */
export async function createRelays(options: {
  config: Config
  version: string
  outbox: Outbox
  redisAddress: RedisAddress
  connection: Connection
  queue: NamedQueue
  events: EventBus
  clock: Clock
}): Promise<Service[]> {
  const { config, version, outbox, redisAddress, connection, queue, events, clock } = options
  const sinks = chosenSinks(config)
  if (sinks.length === 0) return []
  let fullAt = Number.NEGATIVE_INFINITY
  events.on('batch-settled', ({ checks }) => {
    if (checks >= config.BATCH_SIZE) fullAt = clock.monotonic()
  })
  const unwanted = unwantedTypes(config.EVENTS)
  const isBusy = () => clock.monotonic() - fullAt < BUSY_FOR_MS
  const relays = sinks.map(async (name) => {
    const tellRedis = (error: Error) => events.emit('redis-error', { connection: 'relay', error })
    const shares = new Shares({
      connection,
      key: queue.keys.shares(name),
      holder: randomUUID(), // names of processes need not differ
      onError: tellRedis,
    })
    const source = `/order-expiry/${queue.name}`
    const sink = await openSink(name, config, { source, version, redisAddress, queue, clock })
    const keepMs = config.KEEP_EVENTS
    const relay = createRelay({ outbox, sink, sinks, unwanted, shares, keepMs, isBusy, events, clock })
    events.on('batch-settled', ({ outcomes }) => outcomes.cancelled && relay.hurry())
    return relay
  })
  return Promise.all(relays)
}
