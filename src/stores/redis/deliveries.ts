import type { Redis } from 'ioredis'
import { z } from 'zod'
import {
  type ListedEvent,
  type Listing,
  type NewEvent,
  NUM_SHARES,
  type Outbox,
  type OutboxEvent,
  type SinkDelivery,
} from '../../order/outbox.ts'
import type { Backlog, KeptEvent } from '../../order/store.ts'
import type { QueueKeys } from '../../redis/keys.ts'
import { timeOf } from '../../redis/time.ts'
import { readJson } from '../../runtime/json.ts'
import { ATTEMPT, deliveryOf } from '../attempt.ts'
import { eventIdOf } from '../event-id.ts'

const MOST_READ = 1_000
const MOST_SEARCHED = 10_000
const MOST_ADDED_AT_ONCE = 50
const REMEMBERED_MS = 86_400_000

/** An event is added to the undelivered ones in the millisecond of its order's change, or a little later, by the ids of the stream. */
const SEARCHED_MS = 50

/*
 * KEYS[1] the stream of undelivered events, KEYS[2] the attempts, a hash: position, a space, sink → JSON of ATTEMPT
 * ARGV[1] how many sinks there are, ARGV[2…] their names, the first is the one that has got the events; then their positions
 * Drops those events that all sinks have got, and notes the others as delivered to this one.
 */
const DELIVERED = `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local num_sinks = tonumber(ARGV[1])
for i = num_sinks + 2, #ARGV do
  local has_all = true
  for s = 3, num_sinks + 1 do
    local attempt = redis.call('HGET', KEYS[2], ARGV[i] .. ' ' .. ARGV[s])
    has_all = has_all and attempt and string.find(attempt, '"deliveredAt"', 1, true)
  end
  if has_all then
    redis.call('XDEL', KEYS[1], ARGV[i])
    for s = 2, num_sinks + 1 do redis.call('HDEL', KEYS[2], ARGV[i] .. ' ' .. ARGV[s]) end
  else
    redis.call('HSET', KEYS[2], ARGV[i] .. ' ' .. ARGV[2], '{"deliveredAt":' .. now .. '}')
  end
end
`

/*
 * KEYS as above; ARGV[1] the position, ARGV[2] the sink, ARGV[3] JSON of an object, ARGV[4] the name and ARGV[5] the milliseconds from now of a
 * time that is added to it. Nothing is noted of an event that is not there any more: others may have delivered it.
 */
const FAILED = `
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then return end
local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[5])
redis.call('HSET', KEYS[2], ARGV[1] .. ' ' .. ARGV[2], string.sub(ARGV[3], 1, -2) .. ',"' .. ARGV[4] .. '":' .. at .. '}')
`

/*
 * KEYS[1] the stream of undelivered events, KEYS[2] a sorted set: the ids of those that were added, by when
 * ARGV[1] for how many milliseconds an id is remembered; then for each event its id, its type, the id of its order, and JSON
 */
const ADD = `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('XLEN', KEYS[1]) -- a key of another type fails here, before anything is written
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[1], 'LIMIT', 0, #ARGV)
if #old > 0 then redis.call('ZREM', KEYS[2], unpack(old)) end
for i = 2, #ARGV, 4 do
  if redis.call('ZADD', KEYS[2], 'NX', now, ARGV[i]) == 1 then
    redis.call('XADD', KEYS[1], '*', 'event_id', ARGV[i], 'type', ARGV[i + 1], 'order_id', ARGV[i + 2], 'at', now, 'data', ARGV[i + 3])
  end
end
`

/** The events of recorded orders, for who delivers them. What was delivered stays in the stream of all events, which is trimmed. */
export class RedisDeliveries implements Outbox {
  readonly #redis: Redis
  readonly #keys: QueueKeys

  constructor({ redis, keys }: { redis: Redis; keys: QueueKeys }) {
    this.#redis = redis
    this.#keys = keys
  }

  async undelivered({ sink, after, shares, limit }: Parameters<Outbox['undelivered']>[0]) {
    const found: OutboxEvent[] = []
    let from = after
    let isMore = true
    while (isMore && found.length < limit) {
      const start = from ? `(${from}` : '-'
      const entries = await this.#redis.xrange(this.#keys.undelivered, start, '+', 'COUNT', MOST_READ)
      const ours = entries.map(toEvent).filter(({ orderId }) => shares.includes(shareOf(orderId)))
      found.push(...(await this.#waiting(ours, sink)))
      from = entries.at(-1)?.[0] ?? from
      isMore = entries.length === MOST_READ
    }
    if (found.length <= limit) return { events: found, readTo: from, isMore }
    const events = found.slice(0, limit)
    return { events, readTo: events.at(-1)?.position, isMore: true }
  }

  async delivered(events: readonly OutboxEvent[], { sink, sinks }: Parameters<Outbox['delivered']>[1]): Promise<void> {
    const { undelivered, attempts } = this.#keys
    const names = [sink, ...sinks.filter((name) => name !== sink)]
    const positions = events.map(({ position }) => position)
    await this.#redis.eval(DELIVERED, 2, undelivered, attempts, names.length, ...names, ...positions)
  }

  async failed({ position, failures }: OutboxEvent, { sink, retryInMs, why }: Parameters<Outbox['failed']>[1]) {
    const { undelivered, attempts } = this.#keys
    const attempt = JSON.stringify({ failures, why })
    const next = retryInMs === undefined ? ['givenUpAt', 0] : ['retryAt', retryInMs]
    await this.#redis.eval(FAILED, 2, undelivered, attempts, position, sink, attempt, ...next)
  }

  async list({ sinks, only, after, limit }: Listing): Promise<ListedEvent[]> {
    const found: ListedEvent[] = []
    for (let from = after; found.length < limit; ) {
      const start = from ? `(${from}` : '-'
      const entries = await this.#redis.xrange(this.#keys.undelivered, start, '+', 'COUNT', MOST_READ)
      const events = entries.map(toEvent).filter(({ id, orderId }) => {
        if (typeof only !== 'object') return true
        return 'id' in only ? only.id === id : only.orderId === orderId
      })
      const isListed = ({ deliveries }: ListedEvent) =>
        only !== 'given-up' || deliveries.some(({ state }) => state === 'given-up')
      found.push(...(await this.#withDeliveries(events, sinks)).filter(isListed))
      if (entries.length < MOST_READ) break
      from = entries.at(-1)?.[0]
    }
    return found.slice(0, limit)
  }

  async add(events: readonly NewEvent[]): Promise<void> {
    const { undelivered, added, own } = this.#keys
    const additions: Promise<unknown>[] = []
    for (let start = 0; start < events.length; start += MOST_ADDED_AT_ONCE) {
      const args = events.slice(start, start + MOST_ADDED_AT_ONCE).flatMap((event) => {
        return [eventIdOf(own, event), event.type, event.orderId, JSON.stringify(event.data)]
      })
      additions.push(this.#redis.eval(ADD, 2, undelivered, added, REMEMBERED_MS, ...args))
    }
    await Promise.all(additions)
  }

  async replay(events: Parameters<Outbox['replay']>[0], { sink }: Parameters<Outbox['replay']>[1]): Promise<void> {
    if (events.length === 0) return
    await this.#redis.hdel(this.#keys.attempts, ...events.map(({ position }) => `${position} ${sink}`))
  }

  /** The same events, with their deliveries. */
  async describe(events: readonly KeptEvent[], sinks: readonly string[]): Promise<KeptEvent[]> {
    const described = events.map(async (event) => {
      const { at } = event
      const entries = await this.#redis.xrange(this.#keys.undelivered, at, at + SEARCHED_MS, 'COUNT', MOST_SEARCHED)
      const waiting = entries.map(toEvent).filter(({ id }) => id === event.id)
      const [listed] = await this.#withDeliveries(waiting, sinks)
      return { ...event, deliveries: listed?.deliveries ?? [] }
    })
    return Promise.all(described)
  }

  async dropDelivered(): Promise<number> {
    return 0
  }

  /** How many wait, and for how long the first one has. */
  async backlog(): Promise<Backlog> {
    const { undelivered } = this.#keys
    const [events, [first]] = await Promise.all([
      this.#redis.xlen(undelivered),
      this.#redis.xrange(undelivered, '-', '+', 'COUNT', 1),
    ])
    const now = await timeOf(this.#redis)
    return { events, oldestAgeMs: first && Math.max(0, now - toEvent(first).at) }
  }

  async #withDeliveries(events: readonly OutboxEvent[], sinks: readonly string[]): Promise<ListedEvent[]> {
    const fields = events.flatMap(({ position }) => sinks.map((sink) => `${position} ${sink}`))
    const texts = fields.length > 0 ? await this.#redis.hmget(this.#keys.attempts, ...fields) : []
    return events.map(({ position, id, type, orderId, at }, n) => {
      const deliveries = sinks.map((sink, s): SinkDelivery => {
        const text = texts[n * sinks.length + s]
        return deliveryOf(sink, text ? ATTEMPT.parse(readJson(text)) : undefined)
      })
      return { position, id, type, orderId, at, deliveries }
    })
  }

  /** Those that the sink has neither got nor been given up for. */
  async #waiting(events: OutboxEvent[], sink: string): Promise<OutboxEvent[]> {
    if (events.length === 0) return []
    const fields = events.map(({ position }) => `${position} ${sink}`)
    const texts = await this.#redis.hmget(this.#keys.attempts, ...fields)
    const now = await timeOf(this.#redis)
    return events.flatMap((event, n) => {
      const text = texts[n]
      if (!text) return [event]
      const { deliveredAt, givenUpAt, failures, retryAt = 0 } = ATTEMPT.parse(readJson(text))
      const waitMs = Math.max(0, retryAt - now)
      return deliveredAt === undefined && givenUpAt === undefined ? [{ ...event, failures, waitMs }] : []
    })
  }
}

/** FNV-1a. http://www.isthe.com/chongo/tech/comp/fnv/ */
function shareOf(orderId: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(orderId)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash & (NUM_SHARES - 1)
}

function toEvent([position, flat]: [id: string, fields: string[]]): OutboxEvent {
  const fields: Record<string, string> = {}
  for (let n = 0; n < flat.length; n += 2) fields[flat[n] as string] = flat[n + 1] as string
  const { event_id: id = position, type = '', order_id: orderId = '', at = '0', data = '{}' } = fields
  return { position, id, type, orderId, at: Number(at), data: dataIn(data), failures: 0 }
}

/** Whoever wrote it: the receiver sees that it is empty. */
function dataIn(json: string): OutboxEvent['data'] {
  const { data } = z.record(z.string(), z.unknown()).safeParse(readJson(json))
  return data ?? {}
}
