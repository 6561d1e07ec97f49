import type { Clock } from '../../runtime/clock.ts'

/** Waits for up to `seconds` until the queue says that there is something to look at; null if it did not. */
export type WaitForJob<Marker> = (seconds: number) => Promise<Marker | null>

/** Less than this is waited for here: asking Redis to wait costs more than it can bring. */
const NEAR_MS = 8
/** How much earlier Redis ends the wait by itself, so that it is over, by its clock, when the alarm rings. */
const EARLY_MS = 2
/** When the alarm rings again, as long as the wait goes on: a ring can be lost, or come too early by Redis' clock. */
const RING_AGAIN_MS = [1, 2, 4, 8, 16, 32]
/** How far a process that comes too late for the jobs steps back at most. */
const STEP_BACK_MAX_MS = 10

/**
 * Ends a worker's wait on the millisecond at which the next job is due.
 *
 * Redis looks for blocked clients whose time is over when it handles any command, but otherwise only on its timer: ten
 * times a second, unless it is tuned. So at the due moment the alarm sends one that does nothing. If that fails, the wait
 * ends with the timer as it would have without.
 *
 * Of several processes that wait for the same job only one gets it. The others step back by a few milliseconds, each by
 * its own, as long as they get none; so they do not all ask at the same moment, and help out when the first one is busy.
 * Redis' side of it: `handleBlockedClientsTimeout` in `timeout.c`, called before each sleep of its event loop.
 */
export class Alarm {
  readonly #ring: () => Promise<unknown>
  readonly #clock: Clock
  readonly #random: () => number
  /** How often in a row the alarm has gone off for nothing. */
  #inVain = 0
  #hasGoneOff = false

  /**
   * @param options.ring sends Redis a command that does nothing
   */
  constructor(options: { ring: () => Promise<unknown>; clock: Clock; random?: () => number }) {
    this.#ring = options.ring
    this.#clock = options.clock
    this.#random = options.random ?? Math.random
  }

  /** `wait` for up to `seconds`, at whose end a job is due, to the millisecond. */
  async during<Marker>(seconds: number, wait: WaitForJob<Marker>): Promise<Marker | null> {
    const forMs = seconds * 1_000
    this.#hasGoneOff = false
    const dueAt = this.#clock.monotonic() + forMs + this.#stepBackMs()
    if (forMs > NEAR_MS) {
      const marker = await this.#ringing(dueAt, wait((dueAt - EARLY_MS - this.#clock.monotonic()) / 1_000))
      if (marker) return marker
    }
    const leftMs = dueAt - this.#clock.monotonic()
    if (leftMs > 0) await this.#clock.sleep(leftMs)
    this.#hasGoneOff = true
    return null
  }

  /** What came of it: whether there was a job. */
  tell(hasJob: boolean): void {
    if (hasJob) this.#inVain = 0
    else if (this.#hasGoneOff) this.#inVain++
    this.#hasGoneOff = false
  }

  /** The first time in vain may be our own doing: timers can be a little early. */
  #stepBackMs(): number {
    if (this.#inVain < 2) return 0
    return Math.min(STEP_BACK_MAX_MS, 2 ** (this.#inVain - 1)) * (0.5 + this.#random() / 2)
  }

  async #ringing<Marker>(at: number, waiting: Promise<Marker | null>): Promise<Marker | null> {
    const over = new AbortController()
    const ringing = this.#ringFrom(at, over.signal).catch(() => {}) // the wait is over
    try {
      return await waiting
    } finally {
      over.abort()
      await ringing
    }
  }

  async #ringFrom(at: number, signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(Math.max(0, at - this.#clock.monotonic()), signal)
    for (const againMs of RING_AGAIN_MS) {
      this.#ring().catch(() => {}) // Redis' own timer ends the wait
      await this.#clock.sleep(againMs, signal)
    }
  }
}
