import { type Processor, Worker, type WorkerOptions } from 'bullmq'
import type { Heartbeat } from '../runtime/heartbeat.ts'

/**
 * The longest a worker sleeps before it looks at the queue again, in seconds. An earlier job wakes exactly one sleeping
 * worker; if that one dies, the others find the job so much later.
 */
const LONGEST_SLEEP_S = 1

/** BullMQ's worker, whose fetch loop can be seen to go on. */
export class CheckWorker extends Worker {
  readonly #heartbeat: Heartbeat

  constructor(queueName: string, processor: Processor, options: WorkerOptions & { heartbeat: Heartbeat }) {
    const { heartbeat, ...workerOptions } = options
    super(queueName, processor, { ...workerOptions, drainDelay: LONGEST_SLEEP_S, autorun: false })
    this.#heartbeat = heartbeat
    this.run().catch((error) => this.emit('error', error))
  }

  override get maximumBlockTimeout(): number {
    return LONGEST_SLEEP_S
  }

  /** The loop fetches, whether or not there is something, or Redis refuses. */
  protected override async moveToActive(
    ...args: Parameters<Worker['moveToActive']>
  ): ReturnType<Worker['moveToActive']> {
    try {
      return await super.moveToActive(...args)
    } finally {
      this.#heartbeat.beat()
    }
  }

  /** The loop takes what came with the end of another job. */
  protected override nextJobFromJobData(
    ...args: Parameters<Worker['nextJobFromJobData']>
  ): ReturnType<Worker['nextJobFromJobData']> {
    this.#heartbeat.beat()
    return super.nextJobFromJobData(...args)
  }
}
