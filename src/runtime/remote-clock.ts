import type { Clock } from './clock.ts'

/** Clocks show whole milliseconds, and NTP lets one gain or lose up to 0.5 ms a second between two answers. */
const SLACK_MS = 4

/**
 * The clock of another machine, as far as its answers prove what it shows. It is our own where ours can be right; otherwise it
 * is off by no more than an answer took. Between answers it goes by our monotonic time: somebody may set our clock at any time.
 */
export class RemoteClock implements Clock {
  readonly #clock: Clock
  /** What it showed at some moment between these two, by our monotonic time. */
  #answer: { there: number; askedAt: number; answeredAt: number } | undefined

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /**
   * @param read asks the other clock, in epoch milliseconds; what it rejects with is passed on
   * @returns by how many milliseconds, at least, somebody has set it back since the answer before
   */
  async ask(read: () => Promise<number>): Promise<number> {
    const before = this.#answer
    const askedAt = this.#clock.monotonic()
    const there = await read()
    this.#answer = { there, askedAt, answeredAt: this.#clock.monotonic() }
    return before ? Math.max(0, before.there + askedAt - before.answeredAt - SLACK_MS - there) : 0
  }

  /** What the other clock shows, in epoch milliseconds; before its first answer, what ours shows. */
  now(): number {
    const own = this.#clock.now()
    if (!this.#answer) return own
    const { there, askedAt, answeredAt } = this.#answer
    const monotonic = this.#clock.monotonic()
    const earliest = there + monotonic - answeredAt - SLACK_MS
    const latest = there + monotonic - askedAt + SLACK_MS
    return Math.round(Math.min(Math.max(own, earliest), latest))
  }

  /** By how many milliseconds it is ahead of ours, at least; negative: behind. Undefined: it has not answered yet. */
  get offsetMs(): number | undefined {
    return this.#answer && this.now() - this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#clock.sleep(ms, signal)
  }
}
