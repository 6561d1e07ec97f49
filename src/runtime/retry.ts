import type { Clock } from './clock.ts'
import { untilAborted } from './timeout.ts'

/**
 * Exponential back-off with jitter in the upper half: attempt 1 waits between base/2 and base, each further one twice as
 * long, up to the cap. After "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function backoffMs(options: { attempt: number; baseMs: number; capMs: number; random?: () => number }): number {
  const { attempt, baseMs, capMs, random = Math.random } = options
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 30))
  return Math.round(ceiling / 2 + (random() * ceiling) / 2)
}

/** Calls `attempt` until it resolves. Rejects with the first error that is not retryable, or with the signal's reason. */
export async function retryUntilDone<T>(options: {
  attempt: () => Promise<T>
  isRetryable: (error: unknown) => boolean
  onWait: (error: unknown, waitMs: number) => void
  clock: Clock
  signal: AbortSignal
}): Promise<T> {
  const { attempt, isRetryable, onWait, clock, signal } = options
  for (let failures = 1; ; failures++) {
    signal.throwIfAborted()
    try {
      return await untilAborted(attempt(), signal)
    } catch (error) {
      if (signal.aborted || !isRetryable(error)) throw error
      const waitMs = backoffMs({ attempt: failures, baseMs: 250, capMs: 5_000 })
      onWait(error, waitMs)
      await clock.sleep(waitMs, signal)
    }
  }
}
