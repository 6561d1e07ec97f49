import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import type { DeadlineInput } from '../order/deadline.ts'
import { describeOrder } from '../order/order.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { Placement } from '../queue/contract.ts'
import { PACKETS } from '../queue/jobs.ts'
import { startProducerSpan } from '../queue/producer-span.ts'
import { Batcher, runInBatches } from '../runtime/batcher.ts'
import { systemClock } from '../runtime/clock.ts'
import { notRecordedHere, type PayResult } from '../stores/records.ts'
import { type Backend, redisBackend } from './backend.ts'
import { CALL_TIMEOUT_MS } from './bounded-call.ts'
import type { Checks } from './checks.ts'
import { type OrderExpiryOptions, parseClientOptions } from './options.ts'
import { placeOrders } from './place-orders.ts'
import type { FoundOrder, Refusal, RescheduleResult, ScheduleItem, ScheduleResult, WithdrawResult } from './results.ts'
import { parsePlacement, tryPlacement } from './schedule-call.ts'

/** `scheduleMany` may take the time of a single call per this many orders. */
const ORDERS_PER_CALL_TIMEOUT = 1_000

/**
 * What a shop uses to have orders checked at their payment deadline. Opens one connection, with the first call. Every
 * call answers within 2 s (`scheduleMany`: 1.5 s for each 1,000 orders), or rejects with REDIS_UNAVAILABLE; calling
 * again is always harmless.
 */
export class OrderExpiry {
  readonly #options: ReturnType<typeof parseClientOptions>
  readonly #backend: Backend
  readonly #scheduling: Batcher<Placement, ScheduleResult | Refusal>
  #isUnavailable = false

  /** @throws {OrderExpiryError} INVALID_OPTIONS */
  constructor(options: OrderExpiryOptions)
  /** @internal With another backend, for the client of tests. */
  constructor(options: OrderExpiryOptions, backend?: Backend)
  constructor(options: OrderExpiryOptions, backend?: Backend) {
    this.#options = parseClientOptions(options)
    this.#backend = backend ?? redisBackend(this.#options)
    this.#scheduling = new Batcher({ ...PACKETS, run: this.#place })
  }

  /**
   * Afterwards the order has a check at its deadline.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE, INVALID_REQUEST (nothing is written), REDIS_UNAVAILABLE
   */
  schedule(item: ScheduleItem): Promise<ScheduleResult> {
    const span = startProducerSpan('add', this.#options)
    const wanted = tryPlacement(item, this.#callNow(span?.traceContext))
    const result = 'error' in wanted ? Promise.reject(wanted.error) : this.#scheduling.add(wanted).then(orThrow)
    span?.endWith(result)
    return result
  }

  /**
   * {@link schedule} for many orders: one result for each, in their order. A bad item has an `error` of its own and does not
   * hold up the others. Once Redis cannot be used, the remaining orders get that error; if nothing at all could be
   * written, the call rejects. Takes at most 1.5 s for each 1,000 orders.
   */
  scheduleMany(items: readonly ScheduleItem[]): Promise<(ScheduleResult | Refusal)[]> {
    const span = startProducerSpan('addBulk', this.#options)
    const results = this.#scheduleMany(items, span?.traceContext)
    span?.endWith(results)
    return results
  }

  async #scheduleMany(items: readonly ScheduleItem[], trace?: string): Promise<(ScheduleResult | Refusal)[]> {
    if (!Array.isArray(items)) throw new OrderExpiryError('INVALID_REQUEST', 'scheduleMany: expected a list of orders')
    const call = this.#callNow(trace)
    const startedMs = systemClock.monotonic()
    let begun = 0
    let failure: OrderExpiryError | undefined
    const onEnd = (error?: OrderExpiryError) => {
      failure ??= error
    }
    const run = async (packet: ScheduleItem[]) => {
      const error = failure
      if (error) return Array.from(packet, (item) => ({ orderId: item?.orderId, error }))
      const timeouts = 1 + Math.floor(begun / ORDERS_PER_CALL_TIMEOUT)
      begun += packet.length
      const leftMs = startedMs + timeouts * CALL_TIMEOUT_MS - systemClock.monotonic()
      const wanted = Array.from(packet, (item) => tryPlacement(item, call))
      const placements = wanted.filter((each): each is Placement => !('error' in each))
      if (placements.length === 0) return wanted as Refusal[]
      const placed = await this.#place(placements, { withinMs: Math.min(leftMs, CALL_TIMEOUT_MS), onEnd })
      return wanted.map((each) => ('error' in each ? each : (placed.shift() as ScheduleResult | Refusal)))
    }
    const results = await runInBatches({ ...PACKETS, items, run })
    if (results.some((result) => 'result' in result)) return results
    const refusal = results.find((result) => 'error' in result && !result.error.code.startsWith('INVALID_'))
    if (refusal) throw (refusal as Refusal).error
    return results
  }

  /**
   * Afterwards the order's check is at the new deadline, earlier or later.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE, INVALID_REQUEST, REDIS_UNAVAILABLE
   */
  async reschedule(item: ScheduleItem & { deadline: DeadlineInput }): Promise<RescheduleResult> {
    const placement = parsePlacement(item, this.#callNow())
    if (item.deadline === undefined) {
      throw new OrderExpiryError('INVALID_DEADLINE', 'deadline: expected a new deadline, given none')
    }
    const { orderId, deadline } = placement
    return this.#backend.calls.run(async (checks) => {
      const moved = await this.#backend.orders?.move(orderId, deadline)
      if (moved?.result === 'missing') return { orderId, result: 'missing' }
      if (moved?.result === 'settled') return { orderId, result: 'settled', status: moved.status }
      const job = await checks.move(placement)
      // With a record, it decides, whatever the check under way has read; without one, that check may still cancel.
      const isMoved = moved?.result === 'moved' && (job === 'unchanged' || job === 'checking')
      const result = isMoved ? 'rescheduled' : job
      return { orderId, result, deadline: new Date(deadline) }
    })
  }

  /**
   * Afterwards we will not cancel the order, unless its check is under way. Where the shop's own table is the
   * record, only the job is gone: the row still decides.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, REDIS_UNAVAILABLE
   */
  async withdraw(orderId: string | number): Promise<WithdrawResult> {
    const id = parseOrderId(orderId)
    return this.#backend.calls.run(async (checks) => {
      const withdrawn = await this.#backend.orders?.withdraw(id)
      if (withdrawn?.result === 'settled') return { orderId: id, result: 'settled', status: withdrawn.status }
      const job = await checks.remove(id)
      if (withdrawn?.result === 'withdrawn' || job === 'removed') return { orderId: id, result: 'withdrawn' }
      return { orderId: id, result: job }
    })
  }

  /**
   * What is known about an order: its check, if it was scheduled by this library, and its record, if this library keeps
   * it. Undefined if neither is there.
   *
   * @throws {OrderExpiryError} INVALID_ORDER_ID, REDIS_UNAVAILABLE
   */
  async find(orderId: string | number): Promise<FoundOrder | undefined> {
    const id = parseOrderId(orderId)
    return this.#backend.calls.run(async (checks) => {
      const [check, order] = await Promise.all([checks.find(id), this.#backend.orders?.find(id)])
      if (!check && !order) return undefined
      return { orderId: id, ...(check && { check }), ...(order && { order: describeOrder(order) }) }
    })
  }

  /**
   * Records that the order is paid; it is then never cancelled. `cancelled`: it was too late, and the money must go
   * back. Only for orders recorded by this library.
   *
   * @throws {OrderExpiryError} NOT_RECORDED_HERE, INVALID_ORDER_ID, REDIS_UNAVAILABLE
   */
  async pay(orderId: string | number): Promise<PayResult> {
    const orders = this.#backend.orders
    if (!orders) throw notRecordedHere("a client with { orders: 'redis' }")
    const id = parseOrderId(orderId)
    return this.#backend.calls.run(() => orders.pay(id))
  }

  /** Gives the connection back, whatever is down. Calls under way are rejected; later ones reject with CLOSED. */
  close(): Promise<void> {
    return this.#backend.calls.close()
  }

  #callNow(trace?: string) {
    return { calledAt: this.#backend.now(), trace, paymentTimeout: this.#options.paymentTimeout }
  }

  /** Places orders together: a result or a refusal for each, in their order. */
  readonly #place = async (
    placements: readonly Placement[],
    { withinMs, onEnd } = this.#sharedTerms(placements),
  ): Promise<(ScheduleResult | Refusal)[]> => {
    const orders = this.#backend.orders
    const explain = (error: Error) => this.#backend.calls.explain(error)
    // Each part by its name: a spread would take as long as all else here.
    const place = (checks: Checks, isLate: () => boolean) =>
      placeOrders({ checks, isLate, orders, placements, explain })
    try {
      const results = await this.#backend.calls.run(place, { withinMs })
      onEnd()
      return results
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      onEnd(error)
      return placements.map(({ orderId }) => ({ orderId, error }))
    }
  }

  /** Behind calls that waited in vain for Redis, later ones wait less. `onEnd` is told how these calls fail. */
  #sharedTerms(placements: readonly Placement[]) {
    const waitedMs = this.#isUnavailable ? this.#backend.now() - (placements[0] as Placement).placedAt : 0
    return {
      withinMs: CALL_TIMEOUT_MS - waitedMs,
      onEnd: (failure?: OrderExpiryError) => {
        this.#isUnavailable = failure?.retryable ?? false
      },
    }
  }
}

function orThrow(result: ScheduleResult | Refusal): ScheduleResult {
  if ('error' in result) throw result.error
  return result
}
