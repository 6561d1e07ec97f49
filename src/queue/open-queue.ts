import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { NamedQueue } from '../redis/keys.ts'
import type { JobData } from './contract.ts'
import { ReadableQueue } from './readable-queue.ts'

/**
 * BullMQ's view of a queue on a connection of ours, which stays ours to close. The connection remembers what goes wrong.
 *
 * @param options.readOnly BullMQ then writes nothing by itself, and prints no warnings on the console
 */
export function openQueue(options: {
  queue: NamedQueue
  redis: Redis
  readOnly?: boolean
  onError?: (error: Error) => void
}): Queue<JobData> {
  const { queue, redis, readOnly = false, onError = () => {} } = options
  const opened = new ReadableQueue(queue.name, {
    connection: redis,
    prefix: queue.prefix,
    ...(readOnly && { skipMetasUpdate: true, skipVersionCheck: true }),
  })
  opened.on('error', onError)
  return opened
}
