import type { Redis } from 'ioredis'
import { OrderExpiryError } from '../../errors.ts'
import type { Check, Order, Outcome } from '../../order/order.ts'
import type { DueOrder, KeptEvent } from '../../order/store.ts'
import type { NamedQueue, QueueKeys } from '../../redis/keys.ts'
import { findEvents } from './events.ts'
import { CANCEL_UNPAID, JUDGE, MOVE, PAGE, PAY, RECORD, WITHDRAW } from './scripts.ts'

export interface PayResult {
  orderId: string
  /**
   * `paid`: now or before. `cancelled`: too late. `missing`: no such order was recorded; now it is recorded as paid, so
   * that scheduling it late cannot cancel it.
   */
  result: 'paid' | 'cancelled' | 'missing'
  paidAt?: Date
  cancelledAt?: Date
}

/** An entry of the stream of events. Times are epoch milliseconds by Redis' clock. */
export interface OrderEvent {
  id: string
  type: string
  orderId: string
  at: number
  deadline: number
}

const PROBE_KEPT_MS = 60_000
/**
 * Orders of one script call at most: half a millisecond in which Redis serves nobody else, or one where it writes an
 * append-only file. Larger calls are no faster for each order.
 */
const SCRIPT_CHUNK = 50

/**
 * Orders recorded in Redis by this package, for shops that have no table of their own.
 *
 * Keys (all with the same hash tag, so that one script may touch them):
 *   {prefix:queue}:order:<id>  hash: status (pending, paid, cancelled, withdrawn), deadline, paid_at, cancelled_at
 *   {prefix:queue}:unpaid      sorted set: the ids of pending orders by deadline
 *   {prefix:queue}:last-paid   string: when an order last became paid
 *   {prefix:queue}:events      stream: id, type, order_id, at, deadline; trimmed to about 100,000 entries
 * Times are epoch milliseconds by Redis' clock.
 */
export class RedisOrders {
  readonly #redis: Redis
  readonly #keys: QueueKeys

  constructor(options: { redis: Redis; queue: NamedQueue }) {
    this.#redis = options.redis
    this.#keys = options.queue.keys
  }

  /** The key of the stream of events. */
  get eventsKey(): string {
    return this.#keys.events
  }

  /** Records orders that are not recorded yet. A settled order is never revived. One result for each, in their order. */
  async record(
    orders: readonly DueOrder[],
  ): Promise<{ result: 'recorded' | 'unchanged' | 'conflict' | 'settled'; deadline: number; status: string }[]> {
    const args = orders.flatMap(({ orderId, deadline }) => [orderId, deadline])
    const replies = await this.#script(RECORD, { orderIds: orders.map(({ orderId }) => orderId), args })
    return replies.map(([result, deadline, status = 'pending']) => ({
      result: result as 'recorded' | 'unchanged' | 'conflict' | 'settled',
      deadline: Number(deadline),
      status,
    }))
  }

  /** Moves the deadline of an unpaid order. */
  async move(
    orderId: string,
    deadline: number,
  ): Promise<{ result: 'moved' | 'unchanged' | 'settled' | 'missing'; status: string }> {
    const [reply] = await this.#script(MOVE, { orderIds: [orderId], args: [orderId, deadline] })
    const [result = '', status = ''] = reply ?? []
    return { result: result as 'moved' | 'unchanged' | 'settled' | 'missing', status }
  }

  /** Takes an unpaid order out: it is not cancelled any more. */
  async withdraw(orderId: string): Promise<{ result: 'withdrawn' | 'settled' | 'missing'; status: string }> {
    const [reply] = await this.#script(WITHDRAW, { orderIds: [orderId], args: [orderId] })
    const [result = '', status = ''] = reply ?? []
    return { result: result as 'withdrawn' | 'settled' | 'missing', status }
  }

  /** Marks an order paid, unless it has been cancelled. */
  async pay(orderId: string): Promise<PayResult> {
    const keys = [this.#keys.unpaid, this.eventsKey, this.#keys.order(orderId), this.#keys.lastPaid]
    const [reply] = (await this.#redis.eval(PAY, keys.length, ...keys, orderId)) as string[][]
    const [result = '', at] = reply ?? []
    if (result === 'paid') return { orderId, result, paidAt: new Date(Number(at)) }
    if (result === 'cancelled') return { orderId, result, cancelledAt: new Date(Number(at)) }
    return { orderId, result: 'missing', paidAt: new Date(Number(at)) }
  }

  async find(orderId: string): Promise<Order | undefined> {
    return (await this.findMany([orderId]))[0]
  }

  async findMany(orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    const rows = await Promise.all(
      orderIds.map((orderId) =>
        this.#redis.hmget(this.#keys.order(orderId), 'status', 'deadline', 'paid_at', 'cancelled_at'),
      ),
    )
    return rows.map(([status, deadline, paidAt, cancelledAt], index) =>
      status == null
        ? undefined
        : {
            orderId: orderIds[index] as string,
            status,
            isUnpaid: status === 'pending' && !paidAt,
            deadline: optionalNumber(deadline),
            paidAt: optionalNumber(paidAt),
            cancelledAt: optionalNumber(cancelledAt),
          },
    )
  }

  async cancelUnpaid(checks: readonly Check[], options: { dryRun?: boolean } = {}): Promise<Outcome[]> {
    const args = checks.flatMap(({ orderId, deadline }) => [orderId, deadline])
    const replies = await this.#script(options.dryRun ? JUDGE : CANCEL_UNPAID, {
      orderIds: checks.map(({ orderId }) => orderId),
      args,
    })
    return replies.map(toOutcome)
  }

  async unpaidDueBefore(instant: number, after: DueOrder | undefined, limit: number): Promise<DueOrder[]> {
    const from = after ? [toScore(after.deadline), after.orderId] : []
    const flat = (await this.#redis.eval(PAGE, 1, this.#keys.unpaid, toScore(instant), limit, ...from)) as string[]
    const page: DueOrder[] = []
    for (let n = 0; n < flat.length; n += 2) {
      const entry = { orderId: flat[n] as string, deadline: fromScore(flat[n + 1] as string) }
      if (entry.deadline <= instant) page.push(entry)
    }
    return page
  }

  /** How many orders are unpaid. */
  countUnpaid(): Promise<number> {
    return this.#redis.zcard(this.#keys.unpaid)
  }

  /** A page of the stream of events, oldest first; `after` is the id of the last one of the page before. */
  async readEvents(after: string | undefined, limit: number): Promise<OrderEvent[]> {
    const entries = await this.#redis.xrange(this.eventsKey, after ? `(${after}` : '-', '+', 'COUNT', limit)
    return entries.map(([id, fields]) => {
      const field = (name: string) => fields[fields.indexOf(name) + 1] ?? ''
      return {
        id,
        type: field('type'),
        orderId: field('order_id'),
        at: Number(field('at')),
        deadline: Number(field('deadline')),
      }
    })
  }

  /** The events of an order that are still in the stream, and how far each consumer group is with them. */
  async eventsOf(orderId: string): Promise<KeptEvent[] | undefined> {
    const { cancelledAt } = (await this.find(orderId)) ?? {}
    if (cancelledAt === undefined) return []
    return findEvents({ redis: this.#redis, key: this.eventsKey, orderId, at: cancelledAt })
  }

  /** Deletes every record, index and event of this queue. */
  async clear(): Promise<void> {
    for await (const keys of this.#redis.scanStream({ match: `${escapeGlob(this.#keys.own)}*`, count: 1_000 })) {
      if (keys.length > 0) await this.#redis.unlink(...(keys as string[]))
    }
  }

  async newestPayment(): Promise<number | undefined> {
    return optionalNumber(await this.#redis.get(this.#keys.lastPaid))
  }

  /** Resolves if Redis answers and takes writes. @returns epoch milliseconds by its clock */
  async probe(): Promise<number> {
    await this.#redis.set(this.#keys.probe, '1', 'PX', PROBE_KEPT_MS)
    return this.now()
  }

  /** @returns epoch milliseconds by Redis' clock */
  async now(): Promise<number> {
    const [seconds, microseconds] = await this.#redis.time()
    return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
  }

  /** Runs a script over orders, in chunks: KEYS are the unpaid index, the events stream and then each order. */
  async #script(
    lua: string,
    input: { orderIds: readonly string[]; args: readonly (string | number)[] },
  ): Promise<string[][]> {
    const { orderIds, args } = input
    const perOrder = args.length / orderIds.length
    const chunks: Promise<unknown>[] = []
    for (let start = 0; start < orderIds.length; start += SCRIPT_CHUNK) {
      const ids = orderIds.slice(start, start + SCRIPT_CHUNK)
      const keys = [this.#keys.unpaid, this.eventsKey, ...ids.map((id) => this.#keys.order(id))]
      const argv = args.slice(start * perOrder, (start + ids.length) * perOrder)
      chunks.push(this.#redis.eval(lua, keys.length, ...keys, ...argv))
    }
    return ((await Promise.all(chunks)) as string[][][]).flat()
  }
}

function toOutcome([kind, now, status, deadline]: string[]): Outcome {
  const decidedAt = Number(now)
  const evidence = { decidedAt, ...(status && { status }), ...(deadline && { deadline: Number(deadline) }) }
  switch (kind) {
    case 'cancelled':
      return { kind, at: decidedAt, evidence }
    case 'kept':
      return { kind, status: status ?? '', evidence }
    case 'missing':
      return { kind, evidence }
    case 'not-due':
      return { kind: 'postponed', until: Number(deadline), reason: 'not-due', evidence }
    default:
      throw new OrderExpiryError('STORE_MISMATCH', `expected an outcome of the script, given ${JSON.stringify(kind)}`)
  }
}

function optionalNumber(text: string | null | undefined): number | undefined {
  return text == null || text === '' ? undefined : Number(text)
}

/** Redis has words of its own for what is infinite. */
function toScore(deadline: number): string {
  return String(deadline).replace('Infinity', 'inf')
}

function fromScore(score: string): number {
  return Number(score.replace('inf', 'Infinity'))
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, '\\$&')
}
