/**
 * The code of an error that Redis itself answered with, e.g. `READONLY`; undefined for errors of the connection. By the
 * protocol it is the first word of the answer: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
 */
export function redisErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined
  return /^[A-Z]+/.exec(error.message)?.[0] ?? 'ERR'
}

/** Redis refuses us until somebody changes a password or a permission. */
export function isRedisRefusal(error: unknown): boolean {
  return ['WRONGPASS', 'NOAUTH', 'NOPERM'].includes(redisErrorCode(error) ?? '')
}
