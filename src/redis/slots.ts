import type { Connection } from './connection.ts'
import type { QueueKeys } from './keys.ts'
import { isRedisRefusal } from './reply.ts'

/**
 * Resolves if a script may use all keys of a queue together; that they may not be used at all is told elsewhere.
 *
 * @throws {OrderExpiryError} REDIS_REFUSED: Redis is in cluster mode, and the keys are in several slots or on another node
 */
export function checkSlots(options: { connection: Connection; keys: QueueKeys }): Promise<void> {
  const { connection, keys } = options
  const { wait, active, canary, brake } = keys
  return connection.ask(async () => {
    const look = (...together: string[]) =>
      connection.redis.exists(...together).catch((error) => {
        if (!isRedisRefusal(error)) throw error
      })
    await look(wait, active)
    await look(canary, brake)
  })
}
