import { setTimeout as sleep } from 'node:timers/promises'

/** The only source of time, so that tests and simulations can own it. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Milliseconds since some moment, for spans: goes on evenly when somebody sets the clock. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. Keeps the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms: number, signal?: AbortSignal) {
    try {
      await sleep(ms, undefined, signal && { signal })
    } catch (error) {
      throw signal?.aborted ? signal.reason : error
    }
  },
})
