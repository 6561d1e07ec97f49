import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'
import { systemClock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import type { JobData } from './contract.ts'
import { openQueue } from './open-queue.ts'

const OPEN_QUEUE_TIMEOUT_MS = 1_500

/** The queue, and the connection that it uses. */
export interface OpenQueue {
  queue: Queue<JobData>
  redis: Redis
  keys: QueueKeys
}

/** The queue of checks on a connection that fails fast, opened with the first use and again after a failure. */
export class CheckQueue {
  readonly #connection: Connection
  readonly #named: NamedQueue
  #queue: Queue<JobData> | undefined
  #open: OpenQueue | undefined

  constructor(options: { connection: Connection; queue: NamedQueue }) {
    this.#connection = options.connection
    this.#named = options.queue
  }

  /** The queue, if commands can be sent at once; otherwise a promise for it, which rejects with ioredis' error. */
  open(): OpenQueue | Promise<OpenQueue> {
    return this.#open && this.#connection.redis.status === 'ready' ? this.#open : this.#reopen()
  }

  /** Gives the connection back, whatever is down. */
  async close(): Promise<void> {
    await this.#queue?.close().catch(() => {})
    this.#connection.close()
  }

  async #reopen(): Promise<OpenQueue> {
    await this.#connection.untilReady()
    this.#queue ??= openQueue({ queue: this.#named, redis: this.#connection.redis })
    const queue = this.#queue
    try {
      // Its first command may neither be answered nor fail: ioredis can lose it between two connections.
      await withTimeout({ work: queue.waitUntilReady(), ms: OPEN_QUEUE_TIMEOUT_MS, clock: systemClock })
      this.#open = { queue, redis: this.#connection.redis, keys: this.#named.keys }
      return this.#open
    } catch (error) {
      // BullMQ keeps a failed first connection for ever; the next call begins anew.
      if (this.#queue === queue) this.#queue = undefined
      throw error
    }
  }
}
