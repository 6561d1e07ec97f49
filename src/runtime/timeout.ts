import type { Clock } from './clock.ts'

/**
 * The promise's own result, or a rejection with `onTimeout()` (default: "no answer within … ms") after `ms`. The work itself
 * goes on: what it does later must be harmless, and its late rejection is swallowed.
 */
export async function withTimeout<T>(options: {
  work: Promise<T>
  ms: number
  clock: Clock
  onTimeout?: () => Error
}): Promise<T> {
  const { work, ms, clock, onTimeout = () => new Error(`no answer within ${ms} ms`) } = options
  const settled = new AbortController()
  const timeout = clock.sleep(ms, settled.signal).then(
    () => Promise.reject(onTimeout()),
    () => new Promise<never>(() => {}), // aborted below: the work has won the race
  )
  work.catch(() => {})
  try {
    return await Promise.race([work, timeout])
  } finally {
    settled.abort('settled') // without a reason it would make an error with a stack
  }
}

/** The promise's own result, or a rejection with the signal's reason as soon as it is aborted. The work itself goes on. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {})
  signal.throwIfAborted()
  return await new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
