import type { Clock } from '../../runtime/clock.ts'

/** Waits up to `seconds` for the queue to announce a job. Resolves with null if it does not. */
type WaitForJob<Marker> = (seconds: number) => Promise<Marker | null>

/** A shorter wait is spent here: a round trip to Redis would cost more than it gains. */
const SPENT_HERE_MS = 8
/** Redis is asked to wait this much less, so that by its own clock the wait is over when the alarm rings. */
const ASKED_LESS_MS = 2
/** Pauses between further rings while the wait goes on: a ring can be lost, or come too early by Redis' clock. */
const RING_AGAIN_AFTER_MS = [1, 2, 4, 8, 16, 32]
/** The furthest step back of a process that gets no job. */
const FURTHEST_STEP_BACK_MS = 10

/**
 * Ends a worker's wait on the millisecond at which the next job is due.
 *
 * Redis ends the wait of a blocked client when it handles a command, or on its timer, ten times a second by default
 * (`handleBlockedClientsTimeout` in `timeout.c`). So at the due moment the alarm sends a command that does nothing. If that
 * fails, the timer ends the wait.
 *
 * When several processes wait for the same job, only one gets it. While the others get none, each steps back by a few
 * milliseconds of its own: they do not all ask at the same moment, and still help out when the first one is busy.
 */
export class Alarm {
  readonly #ring: () => Promise<unknown>
  readonly #clock: Clock
  readonly #random: () => number
  /** How many times in a row the alarm has rung in vain. */
  #inVain = 0
  #hasGoneOff = false

  /** @param options.ring sends Redis a command that does nothing */
  constructor(options: { ring: () => Promise<unknown>; clock: Clock; random?: () => number }) {
    this.#ring = options.ring
    this.#clock = options.clock
    this.#random = options.random ?? Math.random
  }

  /** Waits up to `seconds`, when the next job is due, and ends on that millisecond. */
  async during<Marker>(seconds: number, wait: WaitForJob<Marker>): Promise<Marker | null> {
    const forMs = seconds * 1_000
    this.#hasGoneOff = false
    const dueAt = this.#clock.monotonic() + forMs + this.#stepBackMs()
    if (forMs > SPENT_HERE_MS) {
      const marker = await this.#ringing(dueAt, wait((dueAt - ASKED_LESS_MS - this.#clock.monotonic()) / 1_000))
      if (marker) return marker
    }
    const leftMs = dueAt - this.#clock.monotonic()
    if (leftMs > 0) await this.#clock.sleep(leftMs)
    this.#hasGoneOff = true
    return null
  }

  /** Whether the wait has led to a job. */
  tell(hasJob: boolean): void {
    if (hasJob) this.#inVain = 0
    else if (this.#hasGoneOff) this.#inVain++
    this.#hasGoneOff = false
  }

  /** The first time in vain does not count: our own timer may have been a little early. */
  #stepBackMs(): number {
    if (this.#inVain < 2) return 0
    return Math.min(FURTHEST_STEP_BACK_MS, 2 ** (this.#inVain - 1)) * (0.5 + this.#random() / 2)
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
    for (const againMs of RING_AGAIN_AFTER_MS) {
      this.#ring().catch(() => {}) // Redis' own timer ends the wait
      await this.#clock.sleep(againMs, signal)
    }
  }
}
