import type { Queue } from 'bullmq'
import type { RedisAddress } from '../../redis/address.ts'
import { openRedis } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { producerProfile } from '../../redis/profiles.ts'
import { openQueue } from '../open-queue.ts'

/** Whoever looks at the board waits no longer, and what they asked for is not done behind their back later. */
const COMMAND_TIMEOUT_MS = 5_000

/** The queue for looking at, on a connection of its own that is made again after every outage. */
export class BoardQueue {
  readonly queue: Queue
  readonly #redis: ReturnType<typeof openRedis>

  constructor(options: { redis: RedisAddress; queue: NamedQueue; onError: (error: Error) => void }) {
    const { redis, queue, onError } = options
    const profile = { ...producerProfile(redis, COMMAND_TIMEOUT_MS), lazyConnect: false }
    this.#redis = openRedis({ profile, onError })
    this.queue = openQueue({ queue, redis: this.#redis, onError })
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
