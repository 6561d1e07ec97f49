import type { Redis } from 'ioredis'
import { OrderExpiryError } from '../../errors.ts'
import type { Check, Order, Outcome } from '../../order/order.ts'
import type { CancelOptions, DueOrder, KeptEvent } from '../../order/store.ts'
import type { NamedQueue, QueueKeys } from '../../redis/keys.ts'
import { timeOf } from '../../redis/time.ts'
import { findEvents, type OrderEvent, toEvent } from './events.ts'
import { CANCEL_UNPAID, DRY_RUN, MOVE, PAGE, PAY, RECORD, TAKE_PAID_LATE, WITHDRAW } from './scripts.ts'

export interface PayResult {
  orderId: string
  /**
   * `paid`: now or before. `cancelled`: too late, the money must go back; `order.paid_late` tells of it, once. `missing`: it was not
   * recorded; now it is, as paid, and is never cancelled.
   */
  result: 'paid' | 'cancelled' | 'missing'
  paidAt?: Date
  /** Of a cancelled order, also its evidence: when it was cancelled, and its deadline. */
  code?: 'ORDER_ALREADY_CANCELLED'
  cancelledAt?: Date
  deadline?: Date
}

const PROBE_KEPT_MS = 60_000
/** For so long after the last daemon that delivers events has run, those of late payments are still to be delivered. */
const DELIVERS_KEPT_MS = 30 * 86_400_000
/**
 * Orders in one script call at most. Redis serves nobody else for half a millisecond then, or for one if it writes an
 * append-only file. Larger calls are no faster for each order.
 */
const MOST_ORDERS_PER_SCRIPT = 50

/**
 * Orders recorded in Redis by this package, for shops that have no table of their own.
 *
 * Keys (all with the same hash tag, so that one script may touch them):
 *   {prefix:queue}:order:<id>  hash: status (pending, paid, cancelled, withdrawn), deadline, placed_at, paid_at, cancelled_at, paid_late_at
 *   {prefix:queue}:unpaid      sorted set: the ids of pending orders by deadline
 *   {prefix:queue}:last-paid   string: when an order last became paid
 *   {prefix:queue}:events      stream: id, type, order_id, at, deadline, cancelled_at; trimmed to about 100,000 entries
 *   {prefix:queue}:undelivered stream of those that are still to be delivered, where somebody delivers them; never trimmed
 *   {prefix:queue}:paid-late   list: orders that were paid after their cancellation, until a sweep has counted them
 * Times are epoch milliseconds by Redis' clock.
 */
export class RedisOrders {
  readonly #redis: Redis
  readonly #keys: QueueKeys
  readonly #areDelivered: boolean

  /** @param options.areDelivered whether somebody delivers the events: what is not delivered is never trimmed. Default: not */
  constructor(options: { redis: Redis; queue: NamedQueue; areDelivered?: boolean }) {
    this.#redis = options.redis
    this.#keys = options.queue.keys
    this.#areDelivered = options.areDelivered ?? false
  }

  /** Records orders that are not recorded yet. A settled order is never revived. One result for each, in their order. */
  async record(orders: readonly (DueOrder & { placedAt: number })[]) {
    const replies = await this.#runForEach(RECORD, orders, { moreOf: ({ placedAt }) => [placedAt] })
    return replies.map(([result, deadline, status = '', placedAt]) => ({
      result: result as 'recorded' | 'unchanged' | 'conflict' | 'settled',
      deadline: Number(deadline),
      status,
      /** Undefined where an earlier version has recorded it. */
      placedAt: optionalNumber(placedAt),
    }))
  }

  /** Moves the deadline of an unpaid order. */
  async move(orderId: string, deadline: number) {
    const [result, status] = await this.#run<'moved' | 'unchanged' | 'settled' | 'missing'>(MOVE, orderId, deadline)
    return { result, status }
  }

  /** An unpaid order is then no longer cancelled. */
  async withdraw(orderId: string) {
    const [result, status] = await this.#run<'withdrawn' | 'settled' | 'missing'>(WITHDRAW, orderId)
    return { result, status }
  }

  /** Marks an order paid, unless it has been cancelled: then the first payment is told of by an event. */
  async pay(orderId: string): Promise<PayResult> {
    const { unpaid, order, lastPaid, events, undelivered, delivers, paidLate } = this.#keys
    const keys = [unpaid, order(orderId), lastPaid, events, undelivered, delivers, paidLate]
    const answer = await this.#redis.eval(PAY, keys.length, ...keys, orderId)
    const [result, ms, deadline] = answer as [PayResult['result'], string, string]
    const at = new Date(Number(ms))
    if (result !== 'cancelled') return { orderId, result, paidAt: at }
    const evidence = { cancelledAt: at, ...(deadline && { deadline: new Date(Number(deadline)) }) }
    return { orderId, result, code: 'ORDER_ALREADY_CANCELLED', ...evidence }
  }

  /** The cancelled orders that were paid since the last call, up to `limit`. */
  async takePaidLate(limit: number): Promise<string[]> {
    return (await this.#redis.eval(TAKE_PAID_LATE, 1, this.#keys.paidLate, limit)) as string[]
  }

  async find(orderId: string): Promise<Order | undefined> {
    return (await this.findMany([orderId]))[0]
  }

  async findMany(orderIds: readonly string[]): Promise<(Order | undefined)[]> {
    return Promise.all(
      orderIds.map(async (orderId) => {
        const fields = ['status', 'deadline', 'paid_at', 'cancelled_at', 'paid_late_at']
        const [status, deadline, paidAt, cancelledAt, paidLateAt] = await this.#redis.hmget(
          this.#keys.order(orderId),
          ...fields,
        )
        if (status == null) return undefined
        return {
          orderId,
          status,
          isUnpaid: status === 'pending' && !paidAt,
          deadline: optionalNumber(deadline),
          paidAt: optionalNumber(paidAt ?? paidLateAt),
          cancelledAt: optionalNumber(cancelledAt),
        }
      }),
    )
  }

  async cancelUnpaid(checks: readonly Check[], options: CancelOptions = {}): Promise<Outcome[]> {
    const { dryRun, by = 'check' } = options
    const last = { keys: [this.#keys.undelivered], args: [this.#areDelivered ? by : ''] }
    return (await this.#runForEach(dryRun ? DRY_RUN : CANCEL_UNPAID, checks, { last })).map(toOutcome)
  }

  async unpaidDueBefore(instant: number, after: DueOrder | undefined, limit: number): Promise<DueOrder[]> {
    const from = after ? [toScore(after.deadline), after.orderId] : []
    const flat = (await this.#redis.eval(PAGE, 1, this.#keys.unpaid, toScore(instant), limit, ...from)) as string[]
    const page: DueOrder[] = []
    for (let n = 0; n < flat.length; n += 2) {
      const entry = { orderId: flat[n] as string, deadline: Number(flat[n + 1]?.replace('inf', 'Infinity')) }
      if (entry.deadline <= instant) page.push(entry)
    }
    return page
  }

  countUnpaid(): Promise<number> {
    return this.#redis.zcard(this.#keys.unpaid)
  }

  /** A page of events, oldest first; `after` is the id of the last one of the page before. */
  async readEvents(after: string | undefined, limit: number): Promise<OrderEvent[]> {
    return (await this.#redis.xrange(this.#keys.events, after ? `(${after}` : '-', '+', 'COUNT', limit)).map(toEvent)
  }

  async eventsOf(orderId: string): Promise<KeptEvent[] | undefined> {
    const { cancelledAt, paidAt } = (await this.find(orderId)) ?? {}
    if (cancelledAt === undefined) return []
    const find = (at: number) => findEvents(this.#redis, { key: this.#keys.events, orderId, at })
    const [cancelled, paid] = await Promise.all([find(cancelledAt), paidAt === undefined ? undefined : find(paidAt)])
    const found = [...(cancelled ?? []), ...(paid ?? [])]
    return found.length > 0 ? [...new Map(found.map((event) => [event.id, event])).values()] : undefined
  }

  /** Deletes every record, index and event of this queue. */
  async clear(): Promise<void> {
    const own = this.#keys.own.replace(/[\\*?[\]^-]/g, '\\$&') // escapes glob characters
    for await (const keys of this.#redis.scanStream({ match: `${own}*`, count: 1_000 })) {
      if (keys.length > 0) await this.#redis.unlink(...(keys as string[]))
    }
  }

  async newestPayment(): Promise<number | undefined> {
    return optionalNumber(await this.#redis.get(this.#keys.lastPaid))
  }

  /** Resolves if Redis answers and takes writes. @returns epoch milliseconds by its clock */
  async probe(): Promise<number> {
    const { probe, delivers } = this.#keys
    await this.#redis.set(probe, '1', 'PX', PROBE_KEPT_MS)
    if (this.#areDelivered) await this.#redis.set(delivers, '1', 'PX', DELIVERS_KEPT_MS)
    return this.now()
  }

  /** @returns epoch milliseconds by Redis' clock */
  async now(): Promise<number> {
    return Math.floor(await timeOf(this.#redis))
  }

  /** Runs a script over orders, in chunks. @returns its answers, in their order */
  async #runForEach<Each extends DueOrder>(
    script: string,
    orders: readonly Each[],
    options: { moreOf?: (order: Each) => number[]; last?: { keys: string[]; args: string[] } },
  ): Promise<string[][]> {
    const { unpaid, events, order } = this.#keys
    const { moreOf = () => [], last = { keys: [], args: [] } } = options
    const answers: Promise<unknown>[] = []
    for (let start = 0; start < orders.length; start += MOST_ORDERS_PER_SCRIPT) {
      const chunk = orders.slice(start, start + MOST_ORDERS_PER_SCRIPT)
      const keys = [unpaid, events, ...chunk.map(({ orderId }) => order(orderId)), ...last.keys]
      const args = chunk.flatMap((each) => [each.orderId, each.deadline, ...moreOf(each)])
      answers.push(this.#redis.eval(script, keys.length, ...keys, ...args, ...last.args))
    }
    return ((await Promise.all(answers)) as string[][][]).flat()
  }

  /** Runs a script for one order. */
  async #run<Result>(script: string, orderId: string, ...args: number[]): Promise<[Result, string]> {
    const { unpaid, order, lastPaid } = this.#keys
    return (await this.#redis.eval(script, 3, unpaid, order(orderId), lastPaid, orderId, ...args)) as [Result, string]
  }
}

function toOutcome([kind, now, status = '', deadline]: string[]): Outcome {
  const decidedAt = Number(now)
  const evidence = { decidedAt, ...(status && { status }), ...(deadline && { deadline: Number(deadline) }) }
  if (kind === 'cancelled') return { kind, at: decidedAt, evidence }
  if (kind === 'kept') return { kind, status, evidence }
  if (kind === 'missing') return { kind, evidence }
  if (kind === 'not-due') return { kind: 'postponed', until: Number(deadline), reason: kind, evidence }
  throw new OrderExpiryError('STORE_MISMATCH', `expected an outcome of the script, given ${JSON.stringify(kind)}`)
}

function optionalNumber(text: string | null | undefined): number | undefined {
  return text ? Number(text) : undefined
}

function toScore(deadline: number): string {
  return String(deadline).replace('Infinity', 'inf') // as Redis writes it
}
