import type { Redis } from 'ioredis'
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
  const [at, deadline] = [Number(field(fields, 'at')), Number(field(fields, 'deadline'))]
  return { id, type: field(fields, 'type'), orderId: field(fields, 'order_id'), at, deadline }
}

/** An entry's id is the time it was added, or a little later if the entry before it has a later one. */
const EVENT_SEARCHED_MS = 50
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
  const entries = await redis.xrange(key, at, at + EVENT_SEARCHED_MS, 'COUNT', MOST_ENTRIES_SEARCHED)
  const found = entries.map(toEvent).filter((event) => event.orderId === orderId)
  const events = found.map(async ({ id, type }) => ({ id, type, at, readers: await readersOf(redis, key, id) }))
  return found.length > 0 ? Promise.all(events) : undefined
}

async function readersOf(redis: Redis, key: string, id: string): Promise<KeptEvent['readers'] & {}> {
  const groups = (await redis.xinfo('GROUPS', key)) as string[][]
  const readers = groups.map(async (group) => {
    const name = field(group, 'name')
    if (isBefore(field(group, 'last-delivered-id'), id)) return { name, state: 'waiting' as const }
    const unacknowledged = await redis.xpending(key, name, id, id, 1)
    return { name, state: unacknowledged.length > 0 ? ('given' as const) : ('past' as const) }
  })
  return Promise.all(readers)
}

/** Redis answers names and values in turn. */
function field(flat: readonly string[], name: string): string {
  return flat[flat.indexOf(name) + 1] ?? ''
}

/** Compares two ids of a stream, `milliseconds-number`. */
function isBefore(a: string, b: string): boolean {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number)
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number)
  return aMs < bMs || (aMs === bMs && aNumber < bNumber)
}
