import { BoundedCalls } from '../client/bounded-call.ts'
import { OrderExpiry } from '../client/client.ts'
import type { ScheduleItem, ScheduleResult } from '../client/results.ts'
import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import type { Check } from '../order/order.ts'
import { type FinishedCheck, finishedCheckOf } from '../queue/contract.ts'
import { systemClock } from '../runtime/clock.ts'
import { DURATION_FORMAT, parseDuration } from '../runtime/duration.ts'
import { type MemoryCheck, MemoryChecks } from './memory-checks.ts'
import { type Decision, MemoryRecords } from './memory-records.ts'
import { checkTestOptions, type TestOrderExpiryOptions } from './options.ts'

/** What became of an order at its deadline. */
export interface SettledOrder {
  orderId: string
  /** `cancelled`: it was unpaid. `kept`: it was not. `missing`: there is no such order. */
  outcome: FinishedCheck['outcome']
  /** By the clock of the test. */
  at: Date
}

/** An address that is never used: the client of tests opens no connection. */
const NOWHERE = 'redis://127.0.0.1:6379'

/**
 * An {@link OrderExpiry} for the tests of a shop: orders and checks are in memory, and nothing falls due until
 * {@link TestOrderExpiry.advance} moves the clock. Needs no Redis, no daemon and no timers.
 */
export class TestOrderExpiry extends OrderExpiry {
  readonly #time: { now: number }
  readonly #checks: MemoryChecks
  readonly #records: MemoryRecords | undefined
  readonly #options: TestOrderExpiryOptions
  readonly #cancelled: string[] = []
  #isAdvancing = false

  /** @throws {OrderExpiryError} INVALID_OPTIONS */
  constructor(options: TestOrderExpiryOptions) {
    checkTestOptions(options)
    const { orders, paymentTimeout } = options
    const time = { now: Math.ceil(Number(options.now ?? systemClock.now())) } // as a Date, whole
    const now = () => time.now
    const checks = new MemoryChecks({ now })
    const records = orders && new MemoryRecords({ now })
    const calls = new BoundedCalls({ open: () => checks, explain: asOrderExpiryError, close: async () => {} })
    const given = { ...(orders !== undefined && { orders }), ...(paymentTimeout !== undefined && { paymentTimeout }) }
    super({ redis: NOWHERE, ...given }, { calls, orders: records, now })
    this.#time = time
    this.#checks = checks
    this.#records = records
    this.#options = options
  }

  /** What the clock of the test shows. */
  get now(): Date {
    return new Date(this.#time.now)
  }

  /** The ids of the orders that have been cancelled, in the order of their cancellation. */
  get cancelled(): string[] {
    return [...this.#cancelled]
  }

  /** The ids of the orders whose deadline is to come, by their deadlines. */
  get waiting(): string[] {
    return this.#checks.waiting().map(({ orderId }) => orderId)
  }

  // In memory there is nothing to gather. What the client gathers would wait for process.nextTick, which fake timers stop.
  override async schedule(item: ScheduleItem): Promise<ScheduleResult> {
    const [result] = await this.scheduleMany([item])
    if (!result || 'error' in result) throw result?.error
    return result
  }

  /**
   * Moves the clock on. Afterwards each order whose deadline has come by then is settled, as the daemon does it: in the order of
   * their deadlines, with the clock at each of them; cancelled if it is unpaid, kept otherwise. Works after `close` too.
   *
   * If a function of the options throws, this rejects with its error, and the clock stays at that order's deadline.
   *
   * @param by `'15m'` or milliseconds, rounded up; 0 settles what is already due
   * @returns what became of these orders, in that order
   * @throws {OrderExpiryError} INVALID_REQUEST; NOT_RECORDED_HERE: an order is due, and nobody says whether it is unpaid
   */
  async advance(by: string | number): Promise<SettledOrder[]> {
    const until = this.#time.now + parseSpan(by)
    if (this.#isAdvancing) {
      const message = 'advance: expected one at a time, given a second one; await the first'
      throw new OrderExpiryError('INVALID_REQUEST', message)
    }
    this.#isAdvancing = true
    try {
      return await this.#settleUntil(until)
    } finally {
      this.#isAdvancing = false
    }
  }

  async #settleUntil(until: number): Promise<SettledOrder[]> {
    const settled: SettledOrder[] = []
    const nextDue = () => this.#checks.waiting().find(({ deadline }) => deadline <= until)
    for (let check = nextDue(); check; check = nextDue()) {
      this.#time.now = Math.max(this.#time.now, check.deadline)
      const order = await this.#settle(check)
      if (order) settled.push(order)
    }
    this.#time.now = until
    return settled
  }

  /** @returns undefined if it is not due: its deadline is being moved */
  async #settle(check: MemoryCheck): Promise<SettledOrder | undefined> {
    const { orderId, deadline } = check
    check.isUnderWay = true
    const outcome = await this.#decide({ orderId, deadline }).finally(() => {
      check.isUnderWay = false
    })
    if (outcome.kind === 'postponed') {
      check.deadline = outcome.until
      return undefined
    }
    const finished = finishedCheckOf({ outcome, wanted: { orderId, deadline }, decidedBy: 'test' })
    check.finished = JSON.parse(JSON.stringify(finished)) // as it comes from a job
    const at = new Date(outcome.evidence.decidedAt)
    if (outcome.kind === 'cancelled') {
      this.#cancelled.push(orderId)
      await this.#options.onCancelled?.({ orderId, cancelledAt: at })
    }
    return { orderId, outcome: outcome.kind, at }
  }

  #decide(check: Check): Promise<Decision> {
    return this.#records?.cancelUnpaid(check) ?? this.#askShop(check)
  }

  /** What the shop's own table would have answered the daemon. */
  async #askShop({ orderId, deadline }: Check): Promise<Decision> {
    const { isUnpaid } = this.#options
    if (!isUnpaid) {
      const wanted = `expected { isUnpaid } or { orders: 'redis' }: ${orderId} is due, and nobody says whether it is unpaid`
      throw new OrderExpiryError('NOT_RECORDED_HERE', `advance: ${wanted}`)
    }
    const answer: unknown = await isUnpaid(orderId)
    const at = this.#time.now
    const evidence = { decidedAt: at, deadline }
    if (answer === true) return { kind: 'cancelled', at, evidence }
    if (answer === false) return { kind: 'kept', status: 'not unpaid', evidence }
    if (answer === undefined || answer === null) return { kind: 'missing', evidence }
    const given = `${typeof answer} for ${orderId}`
    throw new OrderExpiryError('INVALID_REQUEST', `isUnpaid: expected true, false, undefined or null, given ${given}`)
  }
}

/**
 * A client for the tests of a shop, in memory: the methods, results and errors of {@link OrderExpiry}, and a clock that only its
 * `advance` moves.
 *
 * @throws {OrderExpiryError} INVALID_OPTIONS
 */
export function createTestOrderExpiry(options: TestOrderExpiryOptions = {}): TestOrderExpiry {
  return new TestOrderExpiry(options)
}

function parseSpan(by: unknown): number {
  const ms = typeof by === 'string' ? parseDuration(by) : by
  if (typeof ms === 'number' && Number.isFinite(ms) && ms >= 0) return Math.ceil(ms)
  const given = typeof by === 'string' || typeof by === 'number' ? JSON.stringify(by) : typeof by
  throw new OrderExpiryError('INVALID_REQUEST', `advance: expected ${DURATION_FORMAT}, or milliseconds, given ${given}`)
}
