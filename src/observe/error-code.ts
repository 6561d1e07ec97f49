import { redisErrorCode } from '../redis/reply.ts'

/** The kind of an error, for logs and labels: what Redis, the system or a driver calls it, or else its class. */
export function errorCode(error: Error): string {
  const { code } = error as { code?: unknown }
  return redisErrorCode(error) ?? (typeof code === 'string' ? code : error.name)
}
