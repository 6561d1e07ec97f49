import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { KeptEvent } from '../../order/store.ts'

/** Where an event is looked for in the stream: from its time on. */
const WITHIN_MS = 50
const MOST_WITHIN = 10_000

/**
 * The events of an order that are still in the stream, and how far each consumer group is with them. Undefined if none is
 * found: the stream is trimmed, and where Redis' clock was set back an event is not where it is looked for.
 *
 * @param options.at when the order changed, in epoch milliseconds by Redis' clock
 */
export async function findEvents(options: {
  redis: Redis
  /** Of the stream. */
  key: string
  orderId: string
  at: number
}): Promise<KeptEvent[] | undefined> {
  const { redis, key, orderId, at } = options
  // An entry's id is the time at which it was added; a little later where there was one of a later time.
  const entries = await redis.xrange(key, at, at + WITHIN_MS, 'COUNT', MOST_WITHIN)
  const events: KeptEvent[] = []
  for (const [id, fields] of entries) {
    const field = (name: string) => fields[fields.indexOf(name) + 1] ?? ''
    if (field('order_id') !== orderId) continue
    events.push({ id, type: field('type'), at, readers: await readersOf({ redis, key, id }) })
  }
  return events.length > 0 ? events : undefined
}

/** XINFO GROUPS: for each group names and values in turn (https://redis.io/docs/latest/commands/xinfo-groups/). */
const groups = z.array(
  z.array(z.union([z.string(), z.number(), z.null()])).transform((flat) => ({
    name: String(flat[flat.indexOf('name') + 1]),
    lastDelivered: String(flat[flat.indexOf('last-delivered-id') + 1]),
  })),
)

async function readersOf(options: {
  redis: Redis
  key: string
  id: string
}): Promise<NonNullable<KeptEvent['readers']>> {
  const { redis, key, id } = options
  return Promise.all(
    groups.parse(await redis.xinfo('GROUPS', key)).map(async ({ name, lastDelivered }) => {
      if (isBefore(lastDelivered, id)) return { name, state: 'waiting' as const }
      const unacknowledged = await redis.xpending(key, name, id, id, 1)
      return { name, state: unacknowledged.length > 0 ? ('given' as const) : ('past' as const) }
    }),
  )
}

/** Of two ids of a stream, `milliseconds-number`. */
function isBefore(a: string, b: string): boolean {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number)
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number)
  return aMs < bMs || (aMs === bMs && aNumber < bNumber)
}
