import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { KeptEvent } from '../../order/store.ts'

/** An entry of the stream of events. Times are epoch milliseconds by Redis' clock. */
export interface OrderEvent {
  id: string
  type: string
  orderId: string
  at: number
  deadline: number
}

export function toEvent([id, fields]: [id: string, fields: string[]]): OrderEvent {
  const field = (name: string) => fields[fields.indexOf(name) + 1] ?? ''
  return {
    id,
    type: field('type'),
    orderId: field('order_id'),
    at: Number(field('at')),
    deadline: Number(field('deadline')),
  }
}

/** An entry's id is the time it was added, or a little later if the entry before it has a later one. */
const SEARCHED_MS = 50
const MOST_ENTRIES_SEARCHED = 10_000

/**
 * The events of an order that changed `at` this time, as the stream `key` still has them, and how far each consumer group is
 * with them. Undefined if there is none: the stream is trimmed, and after Redis' clock was set back an event is not where it
 * is looked for.
 */
export async function findEvents(
  redis: Redis,
  { key, orderId, at }: { key: string; orderId: string; at: number },
): Promise<KeptEvent[] | undefined> {
  const entries = await redis.xrange(key, at, at + SEARCHED_MS, 'COUNT', MOST_ENTRIES_SEARCHED)
  const found = entries.map(toEvent).filter((event) => event.orderId === orderId)
  const events = found.map(async ({ id, type }) => ({ id, type, at, readers: await readersOf(redis, key, id) }))
  return found.length > 0 ? Promise.all(events) : undefined
}

/** XINFO GROUPS: for each group names and values in turn (https://redis.io/docs/latest/commands/xinfo-groups/). */
const groups = z.array(
  z.array(z.union([z.string(), z.number(), z.null()])).transform((flat) => ({
    name: String(flat[flat.indexOf('name') + 1]),
    lastDelivered: String(flat[flat.indexOf('last-delivered-id') + 1]),
  })),
)

async function readersOf(redis: Redis, key: string, id: string): Promise<KeptEvent['readers'] & {}> {
  const readers = groups.parse(await redis.xinfo('GROUPS', key)).map(async ({ name, lastDelivered }) => {
    if (isBefore(lastDelivered, id)) return { name, state: 'waiting' as const }
    const unacknowledged = await redis.xpending(key, name, id, id, 1)
    return { name, state: unacknowledged.length > 0 ? ('given' as const) : ('past' as const) }
  })
  return Promise.all(readers)
}

/** Compares two ids of a stream, `milliseconds-number`. */
function isBefore(a: string, b: string): boolean {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number)
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number)
  return aMs < bMs || (aMs === bMs && aNumber < bNumber)
}
