import { Queue } from 'bullmq'
import type { RedisAddress } from '../../redis/address.ts'
import { openRedis } from '../../redis/connection.ts'
import { producerProfile } from '../../redis/profiles.ts'

/** Whoever looks at the board waits no longer, and what they asked for is not done behind their back later. */
const COMMAND_TIMEOUT_MS = 5_000

/** The queue for looking at, on a connection of its own that is made again after every outage. */
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
    this.#redis = openRedis({
      profile: { ...producerProfile(redis, COMMAND_TIMEOUT_MS), lazyConnect: false },
      onError,
    })
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
