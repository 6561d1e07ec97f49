import { SWEPT_WITHOUT_REDIS_EVERY_MS } from '../order/promise.ts'
import type { OrderStore } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import { RemoteClock } from '../runtime/remote-clock.ts'
import { backoffMs } from '../runtime/retry.ts'
import type { DueSwept } from './sweep-due.ts'
import type { StepOptions } from './sweep-options.ts'
import { Tally } from './tally.ts'

/** An order can come, or its deadline be moved, after the last look. */
const LONGEST_PAUSE_MS = 500
/** Between two sweeps; what falls due meanwhile is settled together. */
const SHORTEST_PAUSE_MS = 200
/** So that the sweeps of several processes do not meet at each deadline. */
const JITTER_MS = 50
/** The pause after a sweep that can do nothing; the last value after many. */
const STOPPED = { baseMs: 1_000, capMs: 10_000 }
/** The maximum time for orders that were left behind, if all of them are tried, and if only those that were locked just now are. */
const LEFT_BEHIND_MS = { all: 500, recent: 100 }

/** What changes from one sweep to the next. */
export type DuePart = Pick<StepOptions, 'aheadMs' | 'memory' | 'leftBehindMs' | 'overdueBefore' | 'signal'> & {
  since?: number | undefined
}

/**
 * What a sweeper does while Redis is away, and the workers have nothing to go by: it wakes for the next deadline in the order
 * store. Each sweep looks back only a little; every {@link SWEPT_WITHOUT_REDIS_EVERY_MS}, and after one that was stopped, one
 * looks at all that is due.
 */
export class StandIn {
  readonly #options: StandInOptions
  readonly #storeClock: RemoteClock
  #sweptAllAt = Number.NEGATIVE_INFINITY
  #stopped = 0

  constructor(options: StandInOptions) {
    this.#options = options
    this.#storeClock = new RemoteClock({ clock: options.clock })
  }

  /** One sweep. Never rejects. @returns what it has found, and the pause until the next one */
  async sweep(part: Pick<DuePart, 'memory' | 'signal'>): Promise<Pick<DueSwept, 'result'> & { pauseMs: number }> {
    const { clock, random = Math.random } = this.#options
    const isAll = clock.monotonic() - this.#sweptAllAt >= SWEPT_WITHOUT_REDIS_EVERY_MS
    if (isAll) this.#sweptAllAt = clock.monotonic()
    const { result, isStopped, nextAt } = await this.#sweep(part, isAll)
    if (isStopped) {
      this.#sweptAllAt = Number.NEGATIVE_INFINITY
      return { result, pauseMs: backoffMs({ attempt: ++this.#stopped, ...STOPPED, random }) }
    }
    this.#stopped = 0
    // By the store's clock, some may not have been due yet.
    const untilNext = result.outcomes.postponed ? 0 : (nextAt ?? Number.POSITIVE_INFINITY) - this.#storeClock.now()
    const pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, untilNext))
    return { result, pauseMs: pauseMs + random() * JITTER_MS }
  }

  async #sweep(part: Pick<DuePart, 'memory' | 'signal'>, isAll: boolean): Promise<DueSwept> {
    const { store, sweepDue } = this.#options
    try {
      if (isAll) await this.#storeClock.ask(() => store.ping())
    } catch (error) {
      return { result: new Tally(part).note(error).result, isStopped: true }
    }
    const now = this.#storeClock.now()
    return sweepDue({
      ...part,
      overdueBefore: now,
      since: isAll ? undefined : now - SWEPT_WITHOUT_REDIS_EVERY_MS,
      aheadMs: LONGEST_PAUSE_MS,
      leftBehindMs: LEFT_BEHIND_MS[isAll ? 'all' : 'recent'],
    })
  }
}

interface StandInOptions {
  store: Pick<OrderStore, 'ping'>
  sweepDue: (part: DuePart) => Promise<DueSwept>
  clock: Clock
  random?: () => number
}
