/** Redis cannot now, but will: it is starting, failing over, full or busy. */
const PASSING = /^(LOADING|BUSY|READONLY|MASTERDOWN|OOM|TRYAGAIN|CLUSTERDOWN|NOREPLICAS|MISCONF|NOSCRIPT|UNBLOCKED)$/

/**
 * Of an error that Redis itself answered with, e.g. `READONLY`; undefined for errors of the connection.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
 */
export function redisErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined
  return isRefusalInScript(error) ? 'NOPERM' : (/^[A-Z]+/.exec(error.message)?.[0] ?? 'ERR')
}

/** Redis lets the user run the script, but not a command in it, or not on a key: to Redis, that is an error of the script. */
export function isRefusalInScript(error: Error): boolean {
  return /ACL failure|user executing the script/.test(error.message)
}

/** What Redis answers; undefined where it refuses the command, as managed servers do. */
export function unlessRefused<T>(answer: Promise<T>, onRefused?: (error: Error) => void): Promise<T | undefined> {
  return answer.catch((error) => {
    if (redisErrorCode(error) === undefined) throw error
    onRefused?.(error)
    return undefined
  })
}

/** Redis rejects the command because of what is in it or in the key, and will do so again. */
export function isRedisRejection(error: unknown): boolean {
  const code = redisErrorCode(error)
  return code !== undefined && !PASSING.test(code)
}

/** Redis refuses us until somebody changes a password or a permission. */
export function isRedisRefusal(error: unknown): boolean {
  return /^(WRONGPASS|NOAUTH|NOPERM)$/.test(redisErrorCode(error) ?? '')
}
