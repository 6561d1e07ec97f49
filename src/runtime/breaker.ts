import type { Clock } from './clock.ts'
import { backoffMs } from './retry.ts'

const PROBE_BASE_MS = 250
const PROBE_CAP_MS = 2_000

/**
 * A circuit breaker: after some failures in a row it opens, and what it guards gets only one probe at a time; when a probe
 * succeeds it closes again. After M. Nygard, "Release It!", 2007. A probe shows less than the work itself: until some work
 * has succeeded after it, a single failure opens it again, and the probes grow rarer.
 */
export class Breaker<Failure extends Error> {
  readonly #options: BreakerOptions<Failure>
  readonly #stopping = new AbortController()
  #failures = 0
  /** Probes since the last success. */
  #probes = 0
  #failure: Failure | undefined

  constructor(options: BreakerOptions<Failure>) {
    this.#options = options
  }

  /** Why it is open; undefined while it is closed. */
  get failure(): Failure | undefined {
    return this.#failure
  }

  succeeded(): void {
    if (this.#failure) return // one that began before it opened
    this.#failures = 0
    this.#probes = 0
  }

  failed(failure: Failure): void {
    this.#failures++
    if (this.#failure || this.#stopping.signal.aborted) return
    if (this.#probes === 0 && this.#failures < this.#options.threshold) return
    this.#failure = failure
    this.#options.onOpen(failure)
    void this.#probe()
  }

  /** Ends the probes. It stays as it is. */
  stop(): void {
    this.#stopping.abort()
  }

  async #probe(): Promise<void> {
    const { probe, clock, onClose, random = Math.random } = this.#options
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const attempt = ++this.#probes
      try {
        await clock.sleep(backoffMs({ attempt, baseMs: PROBE_BASE_MS, capMs: PROBE_CAP_MS, random }), signal)
        await probe()
      } catch {
        continue
      }
      if (signal.aborted) return
      this.#failure = undefined
      this.#failures = 0
      return onClose()
    }
  }
}

interface BreakerOptions<Failure> {
  /** Failures in a row after which it opens. */
  threshold: number
  /** Resolves if what is guarded seems to work again. Takes a bounded time. */
  probe: () => Promise<unknown>
  onOpen: (failure: Failure) => void
  onClose: () => void
  clock: Clock
  random?: () => number
}
