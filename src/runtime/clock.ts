/** The only source of time, so that tests and simulations can own it. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Milliseconds since some moment: does not jump when somebody sets the clock. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. Keeps the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  // Not the one of node:timers/promises: it makes two AbortErrors, which takes longer than most work with a timeout.
  sleep: (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, ms)
      signal?.addEventListener('abort', onAbort, { once: true })
    }),
})

/** Calls `run` after `ms`, unless the returned function is called first. For work so frequent that a sleep costs too much. */
export function startTimer(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms)
  return () => clearTimeout(timer)
}
