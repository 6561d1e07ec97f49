import { Queue } from 'bullmq'
import type { RedisAddress } from '../../redis/address.ts'
import { openRedis } from '../../redis/connection.ts'
import { commandProfile } from '../../redis/profiles.ts'

/** Deletes a queue with all its jobs. */
export async function clearQueue(options: {
  redis: RedisAddress
  queueName: string
  queuePrefix: string
}): Promise<void> {
  const redis = openRedis({ profile: commandProfile(options.redis, 10_000) })
  try {
    const queue = new Queue(options.queueName, { connection: redis, prefix: options.queuePrefix })
    queue.on('error', () => {})
    await queue.obliterate({ force: true })
    await queue.close()
  } finally {
    redis.disconnect()
  }
}
