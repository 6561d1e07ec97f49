import { openQueue } from '../../queue/open-queue.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { openRedis } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'

/** Deletes a queue with all its jobs. */
export async function clearQueue(options: { redis: RedisAddress; queue: NamedQueue }): Promise<void> {
  const redis = openRedis({ profile: commandProfile(options.redis, 10_000) })
  try {
    const queue = openQueue({ queue: options.queue, redis })
    await queue.obliterate({ force: true })
    await queue.close()
  } finally {
    redis.disconnect()
  }
}
