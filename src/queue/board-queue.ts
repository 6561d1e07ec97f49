import { Queue } from 'bullmq'
import { openRedis, type RedisAddress, workerProfile } from './connection.ts'

/** The queue for looking at, on a connection of its own that waits out every outage. */
export class BoardQueue {
  readonly queue: Queue
  readonly #redis: ReturnType<typeof openRedis>

  constructor(options: {
    redis: RedisAddress
    queueName: string
    queuePrefix: string
    onError: (error: Error) => void
  }) {
    const { redis, queueName, queuePrefix, onError } = options
    this.#redis = openRedis({ profile: workerProfile(redis), onError })
    this.queue = new Queue(queueName, { connection: this.#redis, prefix: queuePrefix })
    this.queue.on('error', onError)
  }

  /** Whether Redis can be asked now. */
  get isReady(): boolean {
    return this.#redis.status === 'ready'
  }

  close(): void {
    this.queue.close().catch(() => {})
    this.#redis.disconnect()
  }
}
