import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../src/runtime/clock.ts'

/** A clock that stands still until a test advances it. */
export class FakeClock implements Clock {
  #now: number
  readonly #sleepers = new Set<{ until: number; wake: () => void }>()

  constructor(now = Date.UTC(2030, 0, 1)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const onAbort = () => {
        this.#sleepers.delete(sleeper)
        reject(signal?.reason)
      }
      const sleeper = {
        until: this.#now + ms,
        wake: () => {
          this.#sleepers.delete(sleeper)
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** How long each sleep that is under way still takes, in the order in which they began. */
  get sleeping(): number[] {
    return [...this.#sleepers].map(({ until }) => until - this.#now)
  }

  /** Lets time pass: wakes, in their order, those whose time has come, and lets each do all it can before the next. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (;;) {
      await nextTurn()
      const next = [...this.#sleepers].sort((a, b) => a.until - b.until)[0]
      if (!next || next.until > until) break
      this.#now = Math.max(this.#now, next.until)
      next.wake()
    }
    this.#now = until
  }
}
