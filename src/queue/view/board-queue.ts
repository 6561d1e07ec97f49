import type { RedisAddress } from '../../redis/address.ts'
import { openRedis } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { producerProfile } from '../../redis/profiles.ts'
import { openQueue } from '../open-queue.ts'

/** Whoever looks at the board waits no longer, and what they asked for is not done behind their back later. */
const COMMAND_TIMEOUT_MS = 5_000

export type BoardQueue = ReturnType<typeof openBoardQueue>

/** The queue for looking at, on a connection of its own that is made again after every outage. */
export function openBoardQueue(options: { redis: RedisAddress; queue: NamedQueue; onError: (error: Error) => void }) {
  const { onError } = options
  const profile = { ...producerProfile(options.redis, COMMAND_TIMEOUT_MS), lazyConnect: false }
  const redis = openRedis({ profile, onError })
  const queue = openQueue({ queue: options.queue, redis, onError })
  return {
    queue,
    /** Whether Redis can be asked now. */
    isReady: () => redis.status === 'ready',
    close() {
      queue.close().catch(() => {})
      redis.disconnect()
    },
  }
}
