import { peekBrake } from '../../brake/redis-brake.ts'
import { asOrderExpiryError, OrderExpiryError } from '../../errors.ts'
import type { Forecast, Vitals } from '../../observe/vitals.ts'
import type { Order } from '../../order/order.ts'
import type { Connection } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { CheckQueue, type OpenQueue } from '../check-queue.ts'
import { readProcessReports } from '../process-reports.ts'
import { type CheckFacts, describeFacts, type FoundCheck, mainCheckOf, replaceFreeTexts } from './check-facts.ts'
import { readForecast } from './forecast.ts'
import { readLastCancelled } from './last-cancelled.ts'
import { lookForChecks, type OrderRecords, readOrderRecords } from './order-records.ts'

/** What holds up checks and cancellations of all orders. */
export interface QueueHolds {
  /** It is engaged, or nobody can tell. */
  brake?: { reason?: string | undefined; isUnknown?: true } | undefined
  isPaused: boolean
}

/** Through the queue, one after the other; each takes some milliseconds of Redis. */
const MOST_LOOKS_WAITING = 50
const STATES = ['delayed', 'waiting', 'prioritized', 'active', 'completed', 'failed'] as const

/** The queue for those who only look at it. Every call rejects with REDIS_UNAVAILABLE or REDIS_REFUSED of `errors.ts`. */
export class QueueView {
  readonly #connection: Connection
  readonly #queue: CheckQueue
  readonly #redact: (text: string) => string
  #looks = 0
  #lastLook: Promise<unknown> = Promise.resolve()

  /** @param options.connection whose commands time out; it is not closed. @param options.redact takes secrets out of free texts */
  constructor(options: { connection: Connection; queue: NamedQueue; redact?: (text: string) => string }) {
    this.#redact = options.redact ?? ((text) => text)
    this.#connection = options.connection
    this.#queue = new CheckQueue(options)
  }

  /** How many jobs there are by BullMQ's state, and whether nothing is fetched. */
  counts(): ReturnType<Vitals['view']['counts']> {
    return this.#ask(async ({ queue }) => {
      const [jobs, isPaused] = await Promise.all([queue.getJobCounts(...STATES), queue.isPaused()])
      return { jobs, isPaused }
    })
  }

  forecast(): Promise<Forecast> {
    return this.#ask(readForecast)
  }

  processes(): ReturnType<Vitals['view']['processes']> {
    return this.#ask(readProcessReports)
  }

  memory(): ReturnType<Vitals['view']['memory']> {
    return this.#ask(async ({ redis }) => {
      const info = await redis.info('memory')
      const read = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]
      return {
        used: Number(read('used_memory') ?? 0),
        max: Number(read('maxmemory') ?? 0),
        policy: read('maxmemory_policy'),
      }
    })
  }

  holds(): Promise<QueueHolds> {
    return this.#ask(async ({ queue, keys }) => {
      const [isPaused, brake] = await Promise.all([queue.isPaused(), this.#brakeHold(keys)])
      return { isPaused, ...(brake && { brake }) }
    })
  }

  async #brakeHold(keys: OpenQueue['keys']): Promise<QueueHolds['brake']> {
    try {
      const { engaged, reason } = await peekBrake({ connection: this.#connection, keys })
      return engaged ? { reason } : undefined
    } catch (error) {
      if (asOrderExpiryError(error).code === 'REDIS_REFUSED') return { isUnknown: true }
      throw error
    }
  }

  /** @param options.jobId of another job that may be the order's, beside ours and those that workers have seen */
  recordsOf(options: { orderId: string; jobId?: string | undefined }): Promise<OrderRecords> {
    return this.#ask(async (open) => this.#redacted(await readOrderRecords(open, options)))
  }

  /** For an order of which no job is known: see {@link lookForChecks}. Rejects with REDIS_UNAVAILABLE, too, while many others look. */
  async lookFor(options: Parameters<typeof lookForChecks>[1]): ReturnType<typeof lookForChecks> {
    if (this.#looks >= MOST_LOOKS_WAITING) {
      const message = 'as many others look through the queue as Redis is to serve at once; try again'
      throw new OrderExpiryError('REDIS_UNAVAILABLE', message)
    }
    this.#looks++
    // Where Redis fails one, it fails those that wait too: none of them has to find that out by itself.
    const look = this.#lastLook.then(() =>
      this.#ask(async (open) => this.#redacted(await lookForChecks(open, options))),
    )
    this.#lastLook = look
    return look.finally(() => {
      if (--this.#looks === 0) this.#lastLook = Promise.resolve()
    })
  }

  /**
   * The check of an order that says most of it, whatever its id. A job that no worker has seen yet is found too, but nobody looks
   * for one of an order that is settled.
   *
   * @param sought.order as the store has it
   */
  async findCheck(sought: {
    orderId: string
    order: Pick<Order, 'deadline' | 'isUnpaid'> | undefined
  }): Promise<FoundCheck | undefined> {
    const { orderId, order } = sought
    let { checks } = await this.recordsOf({ orderId })
    const isSettled = order?.isUnpaid === false
    if (checks.length === 0 && !isSettled) checks = (await this.lookFor({ orderId, deadline: order?.deadline })).checks
    const main = mainCheckOf(checks)
    return main && describeFacts(main)
  }

  /** The last orders that were cancelled, by a check or a sweep, the latest first. */
  lastCancelled(most: number): ReturnType<Vitals['view']['lastCancelled']> {
    return this.#ask((open) => readLastCancelled(open, most))
  }

  #redacted<Records extends { checks: CheckFacts[] }>(records: Records): Records {
    return replaceFreeTexts(records, { reason: this.#redact, note: ({ what }) => this.#redact(what) })
  }

  #ask<T>(read: (open: OpenQueue) => Promise<T>): Promise<T> {
    return this.#connection.ask(async () => read(await this.#queue.open()))
  }
}
