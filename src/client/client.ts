import type { Telemetry } from 'bullmq'
import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import { type DeadlineInput, parseDeadline } from '../order/deadline.ts'
import { describeOrder } from '../order/order.ts'
import { parseOrderId } from '../order/order-id.ts'
import { CheckQueue, type OpenQueue } from '../queue/check-queue.ts'
import { jobIdOf, type Placement } from '../queue/contract.ts'
import { moveJob } from '../queue/jobs.ts'
import { withinProducerSpan } from '../queue/producer-span.ts'
import { describeJob } from '../queue/view/describe-job.ts'
import { Connection } from '../redis/connection.ts'
import { namedQueue } from '../redis/keys.ts'
import { producerProfile } from '../redis/profiles.ts'
import { startTimer, systemClock } from '../runtime/clock.ts'
import { type PayResult, RedisOrders } from '../stores/redis/orders.ts'
import { type OrderExpiryOptions, parseClientOptions } from './options.ts'
import { addOrders } from './place-orders.ts'
import type { FoundOrder, RescheduleResult, ScheduleItem, ScheduleResult, WithdrawResult } from './results.ts'
import { type ScheduleCall, ScheduleCalls } from './shared-trips.ts'

const CALL_TIMEOUT_MS = 1_500
const CHUNK = 1_000
/** Characters of the name of whoever schedules an order. */
const LONGEST_NAME = 100
/** Orders that are looked at in one turn of the event loop. */
const IN_ONE_TURN = 100
/** Calls of `schedule` that share a round trip, and round trips that are under way. */
const TOGETHER = 16
const UNDER_WAY = 4

/**
 * What a shop uses to have orders checked at their payment deadline. Opens one connection, with the first call. Every
 * call answers within 2 s, or rejects with REDIS_UNAVAILABLE; calling again is always harmless.
 */
export class OrderExpiry {
  readonly #connection: Connection
  readonly #orders: RedisOrders | undefined
  readonly #queue: CheckQueue
  readonly #paymentTimeout: string
  readonly #calls: ScheduleCalls
  readonly #telemetry: Telemetry | undefined
  readonly #queueName: string
  #unavailable: OrderExpiryError | undefined
  #closed = false

  /** @throws {OrderExpiryError} INVALID_OPTIONS */
  constructor(options: OrderExpiryOptions) {
    const { redis, orders, queueName, queuePrefix, paymentTimeout, telemetry } = parseClientOptions(options)
    this.#paymentTimeout = paymentTimeout
    this.#queueName = queueName
    const queue = namedQueue({ name: queueName, prefix: queuePrefix })
    this.#telemetry = telemetry
    // Each call has a time-out; one for each command would take as long as the command itself.
    const { commandTimeout: _, ...profile } = producerProfile(redis, CALL_TIMEOUT_MS)
    this.#connection = new Connection({ address: redis, profile })
    this.#queue = new CheckQueue({ connection: this.#connection, queue })
    this.#calls = new ScheduleCalls({
      run: (calls) => this.#schedule(calls),
      maxTogether: TOGETHER,
      maxUnderWay: UNDER_WAY,
    })
    if (orders === 'redis') this.#orders = new RedisOrders({ redis: this.#connection.redis, queue })
  }

  /**
   * Afterwards the order has a check at its deadline.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE (nothing is written), REDIS_UNAVAILABLE
   */
  schedule(item: ScheduleItem): Promise<ScheduleResult> {
    if (!isItem(item)) return Promise.reject(noItem())
    return this.#traced('add', (traceContext) => this.#calls.add(item, traceContext))
  }

  /**
   * {@link schedule} for many orders: one result for each, in their order, in chunks of 1,000. A bad item has an `error`
   * of its own and does not hold up the others. Once a chunk cannot be written, the items from there on have that
   * error; if nothing at all could be written, the call rejects.
   */
  scheduleMany(
    items: readonly ScheduleItem[],
  ): Promise<(ScheduleResult | { orderId: unknown; error: OrderExpiryError })[]> {
    return this.#traced('addBulk', (traceContext) => this.#scheduleMany(items, traceContext))
  }

  async #scheduleMany(
    items: readonly ScheduleItem[],
    traceContext: string | undefined,
  ): Promise<(ScheduleResult | { orderId: unknown; error: OrderExpiryError })[]> {
    const results: (ScheduleResult | { orderId: unknown; error: OrderExpiryError })[] = new Array(items.length)
    for (let start = 0; start < items.length; start += CHUNK) {
      const placements: (Placement & { index: number })[] = []
      for (const [offset, item] of items.slice(start, start + CHUNK).entries()) {
        const index = start + offset
        if (offset > 0 && offset % IN_ONE_TURN === 0) await nextTurn()
        try {
          placements.push({ index, ...this.#place(item, systemClock.now(), traceContext) })
        } catch (error) {
          results[index] = { orderId: item?.orderId, error: asOrderExpiryError(error) }
        }
      }
      if (placements.length === 0) continue
      try {
        const added = await this.#add(placements)
        if (added.every((result) => result instanceof OrderExpiryError)) throw added[0]
        for (const [n, { index, orderId }] of placements.entries()) {
          const result = added[n] as ScheduleResult | OrderExpiryError
          results[index] = result instanceof OrderExpiryError ? { orderId, error: result } : result
        }
      } catch (cause) {
        if (!results.some((result) => result && 'result' in result)) throw cause
        const error = asOrderExpiryError(cause)
        for (let index = start; index < items.length; index++) {
          results[index] ??= { orderId: items[index]?.orderId, error }
        }
        break
      }
    }
    return results
  }

  /**
   * Afterwards the order's check is at the new deadline, earlier or later.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE, REDIS_UNAVAILABLE
   */
  async reschedule(item: ScheduleItem & { deadline: DeadlineInput }): Promise<RescheduleResult> {
    if (item?.deadline === undefined) {
      throw new OrderExpiryError('INVALID_DEADLINE', 'deadline: expected the new one, given none')
    }
    const placement = this.#place(item, systemClock.now())
    const { orderId, deadline } = placement
    return this.#call(async (queues) => {
      const moved = await this.#orders?.move(orderId, deadline)
      if (moved?.result === 'missing') return { orderId, result: 'missing' }
      if (moved?.result === 'settled') return { orderId, result: 'settled', status: moved.status }
      const job = await moveJob(queues, placement)
      // With a record, it decides, whatever the check under way has read; without one, that check may still cancel.
      const isMoved = moved?.result === 'moved' && (job === 'unchanged' || job === 'checking')
      const result = isMoved ? 'rescheduled' : job
      return { orderId, result, deadline: new Date(deadline) }
    })
  }

  /**
   * Afterwards the order will not be cancelled by us, unless its check is under way. Where the shop's own table is the
   * record, only the job is gone: the row still decides.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, REDIS_UNAVAILABLE
   */
  async withdraw(orderId: string | number): Promise<WithdrawResult> {
    const id = parseOrderId(orderId)
    return this.#call(async ({ queue }) => {
      const withdrawn = await this.#orders?.withdraw(id)
      if (withdrawn?.result === 'settled') return { orderId: id, result: 'settled', status: withdrawn.status }
      const job = await queue.getJob(jobIdOf(id))
      if (withdrawn?.result === 'withdrawn') {
        if (job && !job.finishedOn) await queue.remove(jobIdOf(id))
        return { orderId: id, result: 'withdrawn' }
      }
      if (!job || job.finishedOn) return { orderId: id, result: 'missing' }
      const removed = await queue.remove(jobIdOf(id))
      return { orderId: id, result: removed === 1 ? 'withdrawn' : 'checking' }
    })
  }

  /**
   * What is known of an order: its check, if it was scheduled by this library, and its record, if this library keeps
   * it. Undefined if neither is there.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, REDIS_UNAVAILABLE
   */
  async find(orderId: string | number): Promise<FoundOrder | undefined> {
    const id = parseOrderId(orderId)
    return this.#call(async ({ queue }) => {
      const [job, state, order] = await Promise.all([
        queue.getJob(jobIdOf(id)),
        queue.getJobState(jobIdOf(id)),
        this.#orders?.find(id),
      ])
      if (!job && !order) return undefined
      return {
        orderId: id,
        ...(job && { check: describeJob(job, state) }),
        ...(order && { order: describeOrder(order) }),
      }
    })
  }

  /**
   * Records that the order is paid; it is then never cancelled. `cancelled`: it was too late, and the money must go
   * back. Only for orders recorded by this library.
   *
   * @throws {OrderExpiryError} NOT_RECORDED_HERE, INVALID_ORDER_ID, REDIS_UNAVAILABLE
   */
  async pay(orderId: string | number): Promise<PayResult> {
    const orders = this.#orders
    if (!orders) {
      throw new OrderExpiryError(
        'NOT_RECORDED_HERE',
        "pay: expected a client with { orders: 'redis' }; with your own orders table, mark the row paid there",
      )
    }
    const id = parseOrderId(orderId)
    return this.#call(() => orders.pay(id))
  }

  /** Gives the connection back, whatever is down. Calls under way are rejected; later ones reject with CLOSED. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#queue.close()
  }

  #traced<T>(operation: string, work: (traceContext?: string) => Promise<T>): Promise<T> {
    return withinProducerSpan(this.#telemetry, { operation, queueName: this.#queueName }, work)
  }

  #place(item: ScheduleItem, now: number, traceContext?: string): Placement {
    if (!isItem(item)) throw noItem()
    const { orderId, deadline = this.#paymentTimeout, allowPast = false, by } = item
    return {
      ...(typeof by === 'string' && { by: by.slice(0, LONGEST_NAME) }),
      ...(traceContext !== undefined && { trace: traceContext }),
      orderId: parseOrderId(orderId),
      deadline: parseDeadline({ input: deadline, now, allowPast }),
      placedAt: now,
    }
  }

  /** Calls of `schedule` that were made at the same time: one result for each. A bad one does not hold up the others. */
  #schedule(calls: readonly ScheduleCall[]): Promise<(ScheduleResult | OrderExpiryError)[]> {
    const errors = new Map<number, OrderExpiryError>()
    const placements: Placement[] = []
    for (let index = 0; index < calls.length; index++) {
      const call = calls[index] as ScheduleCall
      try {
        placements.push(this.#place(call, call.calledAt, call.trace))
      } catch (error) {
        errors.set(index, asOrderExpiryError(error))
      }
    }
    if (errors.size === 0) return this.#addTogether(placements)
    return this.#addTogether(placements).then((results) => {
      let next = 0
      return calls.map((_, index) => errors.get(index) ?? (results[next++] as ScheduleResult | OrderExpiryError))
    })
  }

  /** In one round trip where nothing is in the way. */
  async #addTogether(placements: readonly Placement[]): Promise<(ScheduleResult | OrderExpiryError)[]> {
    if (placements.length === 0) return []
    // Behind others that waited in vain for Redis, or beside one that it refuses, nobody may wait as long again.
    const before = this.#unavailable
    const ageMs = before ? systemClock.now() - (placements[0] as Placement).placedAt : 0
    if (before && ageMs >= CALL_TIMEOUT_MS) return placements.map(() => before)
    try {
      const results = await this.#add(placements, CALL_TIMEOUT_MS - ageMs)
      this.#unavailable = undefined
      return results
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      this.#unavailable = error.retryable ? error : undefined
      return placements.map(() => error)
    }
  }

  #add(placements: readonly Placement[], withinMs = CALL_TIMEOUT_MS): Promise<(ScheduleResult | OrderExpiryError)[]> {
    const explain = (error: Error) => this.#explain(error)
    return this.#call(
      (queues, isLate) => addOrders({ queues, orders: this.#orders, placements, isLate, explain }),
      withinMs,
    )
  }

  /**
   * Runs `work` with the queue, within the time a shop's request may wait. It is not begun after that, and must not send
   * anything more once `isLate`. What can be sent at once is sent before this returns.
   */
  #call<T>(work: (queues: OpenQueue, isLate: () => boolean) => Promise<T>, withinMs = CALL_TIMEOUT_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new OrderExpiryError('CLOSED', 'this OrderExpiry has been closed: make a new one'))
        return
      }
      let late = false
      const begin = (queues: OpenQueue) => {
        if (late) throw new OrderExpiryError('REDIS_UNAVAILABLE', 'too late')
        return work(queues, () => late)
      }
      const queues = this.#queue.open()
      const begun = queues instanceof Promise ? queues.then(begin) : begin(queues)
      const fail = (error: unknown) => reject(this.#explain(error))
      const stop = startTimer(withinMs, () => {
        late = true
        fail(new Error(`no answer within ${CALL_TIMEOUT_MS} ms`))
      })
      begun.then(
        (result) => {
          stop()
          resolve(result)
        },
        (error: unknown) => {
          stop()
          fail(error)
        },
      )
    })
  }

  #explain(error: unknown): OrderExpiryError {
    if (this.#closed) return new OrderExpiryError('CLOSED', 'this OrderExpiry has been closed', { cause: error })
    return this.#connection.explain(error)
  }
}

/** Lets the shop do whatever else it has to do. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function isItem(item: unknown): item is ScheduleItem {
  return typeof item === 'object' && item !== null
}

function noItem(): OrderExpiryError {
  return new OrderExpiryError('INVALID_ORDER_ID', 'expected an object { orderId, deadline }')
}
