import { peekBrake } from '../../brake/redis-brake.ts'
import { asOrderExpiryError } from '../../errors.ts'
import type { Forecast, Vitals } from '../../observe/vitals.ts'
import type { Connection } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import { CheckQueue, type OpenQueue } from '../check-queue.ts'
import { jobIdOf } from '../contract.ts'
import { type CheckFacts, readCheckFacts } from './check-facts.ts'
import { readForecast } from './forecast.ts'

/** What holds up checks and cancellations of all orders. */
export interface QueueHolds {
  /** It is engaged, or nobody can tell. */
  brake?: { reason?: string | undefined; isUnknown?: true } | undefined
  isPaused: boolean
}

const STATES = ['delayed', 'waiting', 'prioritized', 'active', 'completed', 'failed'] as const

/** The queue for those who only look at it. Every call rejects with REDIS_UNAVAILABLE or REDIS_REFUSED of `errors.ts`. */
export class QueueView {
  readonly #connection: Connection
  readonly #queue: CheckQueue

  /** @param options.connection whose commands time out; it is not closed */
  constructor(options: { connection: Connection; queue: NamedQueue }) {
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

  /** @returns undefined if the queue has no check of this order under `jobId`, by default our own */
  checkOf(orderId: string, jobId = jobIdOf(orderId)): Promise<CheckFacts | undefined> {
    return this.#ask((open) =>
      readCheckFacts(open, { orderId, jobId }).catch((error) => {
        if (redisErrorCode(error) === 'WRONGTYPE') return undefined // some other key of the queue
        throw error
      }),
    )
  }

  #ask<T>(read: (open: OpenQueue) => Promise<T>): Promise<T> {
    return this.#connection.ask(async () => read(await this.#queue.open()))
  }
}
