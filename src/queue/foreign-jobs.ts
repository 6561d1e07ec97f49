import type { Redis } from 'ioredis'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import { jobIdOf } from './contract.ts'
import { Journal } from './journal.ts'

type Source = { redis: Redis; keys: Pick<QueueKeys, 'foreignJobs' | 'job'> }

const ORDERS_IN_ONE_LOOK = 200

/**
 * Remembers the jobs of orders that have another id than ours, because their producer chose it or let BullMQ number them:
 * without that, nobody finds the job of an order.
 */
export class ForeignJobs extends Journal {
  readonly #clock: Clock

  constructor(options: { connection: Connection; queue: NamedQueue; onError?: (error: Error) => void; clock: Clock }) {
    super({ ...options, name: 'foreign-jobs', place: { lines: options.queue.keys.foreignJobs } })
    this.#clock = options.clock
  }

  /** A worker has seen the job. @param options.data what is on it, which may be anything */
  note({ jobId, data }: { jobId: string; data: unknown }): void {
    const orderId = orderIdOf(data)
    if (orderId === undefined || jobId === jobIdOf(orderId)) return
    this.add([{ orderId, at: this.#clock.now(), line: JSON.stringify(jobId) }])
  }
}

/** The order that the data of a job names, even if the check will refuse it. */
export function orderIdOf(data: unknown): string | undefined {
  const { orderId } = (data ?? {}) as { orderId?: unknown }
  return typeof orderId === 'string' || typeof orderId === 'number' ? String(orderId) : undefined
}

/** The ids of those that have been seen, the latest last. */
export async function foreignJobsOf({ redis, keys }: Source, orderId: string): Promise<string[]> {
  const lines = await redis.hget(keys.foreignJobs, orderId)
  return lines ? lines.split('\n').map((line) => JSON.parse(line) as string) : []
}

/**
 * Forgets orders whose jobs are all gone: a look at some orders, from `cursor` on.
 *
 * @returns the cursor for the next look
 */
export async function forgetGoneJobs({ redis, keys }: Source, cursor: string): Promise<string> {
  const [next, flat] = await redis.hscan(keys.foreignJobs, cursor, 'COUNT', ORDERS_IN_ONE_LOOK)
  const orders = Array.from({ length: flat.length / 2 }, (_, n) => ({
    orderId: flat[2 * n] as string,
    jobIds: (flat[2 * n + 1] as string).split('\n').map((line) => JSON.parse(line) as string),
  }))
  const pipeline = redis.pipeline()
  // One key a command: in a cluster, the jobs may be on several nodes.
  for (const { jobIds } of orders) for (const jobId of jobIds) pipeline.exists(keys.job(jobId))
  const replies = ((await pipeline.exec()) ?? []).values()
  const gone = orders.filter(({ jobIds }) => {
    const found = jobIds.map(() => replies.next().value as [Error | null, unknown])
    return found.every(([error, exists]) => !error && exists === 0)
  })
  if (gone.length > 0) await redis.hdel(keys.foreignJobs, ...gone.map(({ orderId }) => orderId))
  return next
}
