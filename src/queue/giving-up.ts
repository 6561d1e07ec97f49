import { randomUUID } from 'node:crypto'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'

/** Longer than a job of a process that has died takes to come again, and be given up by another. */
const REMEMBERED_MS = 3_600_000

/**
 * Tells apart the times that a job is given up: whoever goes on after a process has died in the middle of it finds the same mark; after
 * a replay there is another one.
 */
export class GivingUp {
  readonly #connection: Connection
  readonly #keys: QueueKeys

  constructor({ connection, queue }: { connection: Connection; queue: NamedQueue }) {
    this.#connection = connection
    this.#keys = queue.keys
  }

  /** @throws {OrderExpiryError} REDIS_* */
  async begin(jobId: string): Promise<string> {
    const { redis } = this.#connection
    const key = this.#keys.givingUp(jobId)
    const mark = randomUUID()
    const [, found] = await this.#connection.ask(() =>
      Promise.all([redis.set(key, mark, 'PX', REMEMBERED_MS, 'NX'), redis.get(key)]),
    )
    return found ?? mark
  }

  /** The job is in the failed set. Never rejects: the mark expires. */
  async end(jobId: string): Promise<void> {
    await this.#connection.redis.del(this.#keys.givingUp(jobId)).catch(() => {})
  }
}
