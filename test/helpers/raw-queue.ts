import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { redisUrl, uniqueName } from './env.ts'

/** A queue as any other service uses it: plain BullMQ, nothing of ours. */
export class RawQueue {
  readonly name: string
  readonly queue: Queue
  readonly redis: Redis

  constructor(url = redisUrl(), name = uniqueName('queue')) {
    this.name = name
    this.redis = new Redis(url, { maxRetriesPerRequest: null })
    this.redis.on('error', () => {})
    this.queue = new Queue(name, { connection: this.redis })
    this.queue.on('error', () => {})
  }

  async close(): Promise<void> {
    await this.queue.obliterate({ force: true }).catch(() => {})
    await this.queue.close()
    this.redis.disconnect()
  }
}
