import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Fact } from '../../../src/commands/demo/judge.ts'
import type { OrderExpiry } from '../../../src/index.ts'
import { KNOWN_MS } from './fault-case.ts'
import { brokenWords, historyOf, type StoredEvent, type StoredOrder, type Told } from './redis-witness.ts'
import type { Shop } from './shop.ts'

const BASE = '{bull:check-payment}' // as docs/redis-store.md names the keys

/** A shop without a table of its own: the library records its orders, in Redis, and says what became of them. */
export class RedisShop implements Shop {
  readonly #redis: Redis
  readonly #client: OrderExpiry
  readonly #told = new Map<string, Told>()

  /** @param options.redisUrl the server itself, by no proxy */
  constructor(options: { redisUrl: string; client: OrderExpiry }) {
    this.#redis = new Redis(options.redisUrl, { maxRetriesPerRequest: null, retryStrategy: () => 100 })
    this.#redis.on('error', () => {})
    this.#client = options.client
  }

  env(): Record<string, string> {
    return { ORDER_STORE: 'redis' }
  }

  /** The library records them when it is told of them. */
  async place(deadlines: readonly number[]): Promise<string[]> {
    return deadlines.map((deadline) => {
      const id = `R-${this.#told.size + 1}`
      this.#told.set(id, { asked: [deadline] })
      return id
    })
  }

  async pay(id: string): Promise<void> {
    const { result } = await untilAnswered(() => this.#client.pay(id))
    // Of an order that is missing, too, the payment is recorded.
    this.#toldOf(id).payment = result === 'cancelled' ? 'refused' : 'accepted'
  }

  async extend(id: string, deadline: number): Promise<boolean> {
    this.#toldOf(id).asked.push(deadline)
    const item = { orderId: id, deadline, allowPast: true }
    const { result } = await untilAnswered(() => this.#client.reschedule(item))
    if (['rescheduled', 'unchanged', 'scheduled'].includes(result)) this.#toldOf(id).extendedTo = deadline
    return false
  }

  async withdraw(): Promise<void> {} // the library is told all the same, and is the record

  async unpaid(): Promise<string[]> {
    return (await this.#pending()).map(([id]) => id)
  }

  async countOverdue(): Promise<number> {
    return (await this.#pending()).filter(([, { deadline }]) => (deadline ?? 0) <= Date.now()).length
  }

  async countWaiting(): Promise<number> {
    return (await this.#pending()).length
  }

  async lastDeadline(): Promise<number> {
    return Math.max(0, ...(await this.#pending()).map(([, { deadline }]) => deadline ?? 0))
  }

  async history(): Promise<Fact[]> {
    return historyOf({ told: this.#told, stored: await this.#stored(), events: await this.#events() })
  }

  async holdings(): Promise<[]> {
    return []
  }

  async brokenWords(scheduled: ReadonlySet<string>): Promise<string[]> {
    const index = await this.#redis.zrange(`${BASE}:unpaid`, '0', '-1')
    return brokenWords({ told: this.#told, stored: await this.#stored(), scheduled, index })
  }

  async postgresVersion(): Promise<undefined> {}

  async close(): Promise<void> {
    this.#redis.disconnect()
  }

  #toldOf(id: string): Told {
    return this.#told.get(id) as Told
  }

  async #pending(): Promise<[string, StoredOrder][]> {
    return [...(await this.#stored())].filter(([, { status }]) => status === 'pending')
  }

  /** What Redis has of each order. */
  async #stored(): Promise<Map<string, StoredOrder>> {
    const ids = [...this.#told.keys()]
    const records = await Promise.all(ids.map((id) => this.#redis.hgetall(`${BASE}:order:${id}`)))
    const found = records.map(({ status, deadline, paid_at }): StoredOrder | undefined =>
      status === undefined
        ? undefined
        : { status, deadline: deadline === undefined ? null : Number(deadline), isPaid: paid_at !== undefined },
    )
    return new Map(ids.flatMap((id, index) => (found[index] ? [[id, found[index]] as const] : [])))
  }

  async #events(): Promise<StoredEvent[]> {
    const entries = await this.#redis.xrange(`${BASE}:events`, '-', '+')
    const events = entries.map(([entryId, fields]) => {
      const { order_id: orderId = '', type = '' } = Object.fromEntries(
        fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1]]] : [])),
      )
      // Redis itself has made the id, by its clock.
      return { orderId, type, at: Number(entryId.split('-')[0]) }
    })
    return events.filter(({ type }) => type === 'order.cancelled')
  }
}

/** Asks again while Redis is away, as the library's users are told to. */
async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  const endsAt = Date.now() + KNOWN_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > endsAt) throw error
      await sleep(100)
    }
  }
}
