import type { Queue } from 'bullmq'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import { CheckQueue } from './check-queue.ts'

/**
 * Of a job that fails in the shop's worker, ten times within some nine minutes: BullMQ takes that from who adds a job. How long it
 * stays once it is done is the worker's to say.
 */
const RETRIES = { attempts: 10, backoff: { type: 'exponential', delay: 1_000 } } as const

/** A queue of the shop, for events. */
export class EventQueue {
  readonly #queue: CheckQueue

  constructor(options: { connection: Connection; queue: NamedQueue }) {
    this.#queue = new CheckQueue(options)
  }

  /** There is a job for the event then. A second one of the same id is not added while the first is there. */
  async add({ id, type, data }: { id: string; type: string; data: object }): Promise<void> {
    const { queue } = (await this.#queue.open()) as { queue: Queue }
    await queue.add(type, data, { jobId: `event-${id}`, ...RETRIES })
  }

  /** Gives the connection back, whatever is down. */
  close(): Promise<void> {
    return this.#queue.close()
  }
}
