import { Queue } from 'bullmq'
import type { Connection } from './connection.ts'
import type { JobData } from './contract.ts'

/** The queue of checks on a connection that fails fast, opened with the first use and again after a failure. */
export class CheckQueue {
  readonly #connection: Connection
  readonly #name: string
  readonly #prefix: string
  #queue: Queue<JobData> | undefined

  constructor(options: { connection: Connection; queueName: string; queuePrefix: string }) {
    this.#connection = options.connection
    this.#name = options.queueName
    this.#prefix = options.queuePrefix
  }

  /** Resolves when commands can be sent. Rejects with what ioredis says. */
  async open(): Promise<Queue<JobData>> {
    await this.#connection.untilReady()
    this.#queue ??= this.#create()
    const queue = this.#queue
    try {
      await queue.waitUntilReady()
      return queue
    } catch (error) {
      // BullMQ keeps a failed first connection for ever; the next call begins anew.
      if (this.#queue === queue) this.#queue = undefined
      throw error
    }
  }

  /** Gives the connection back, whatever is down. */
  async close(): Promise<void> {
    await this.#queue?.close().catch(() => {})
    this.#connection.close()
  }

  #create(): Queue<JobData> {
    const queue = new Queue<JobData>(this.#name, { connection: this.#connection.redis, prefix: this.#prefix })
    queue.on('error', () => {}) // the connection remembers why
    return queue
  }
}
