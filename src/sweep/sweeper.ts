import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Heartbeat } from '../runtime/heartbeat.ts'
import type { Service } from '../runtime/service.ts'
import type { SweepOptions, SweepResult } from './sweep.ts'
import { SweepMemory } from './sweep-memory.ts'

/** The first sweep of a process, and one that somebody asks for, comes within this time, at random. */
const SOON_MS = 2_000
/** The pause before another sweep where one has left orders undecided with nobody to take them apart. */
const AGAIN_MS = 5_000
const JITTER = 0.1
/** How often the heart beats while nothing is to be done. */
const BEAT_MS = 5_000
/** For so long at most, orders that fall due soon keep a sweep from those that are overdue. */
const UPCOMING_MS = 10_000
/** Going through all orders that fall due soon takes about one part in so many of the time. */
const FULL_SHARE = 20

/** What changes from one sweep to the next. */
export type SweepPart = Required<Pick<SweepOptions, 'aheadMs' | 'memory' | 'upcomingMs' | 'isWoken'>> &
  Pick<SweepOptions, 'from' | 'signal'>

export interface Sweeper extends Service {
  /** Asks for a sweep soon: something has been away, or has lost data. */
  wake(): void
}

/**
 * Sweeps the order store every `everyMs`, give or take a tenth. Each process does so by itself: there is no leader whose
 * death would end it, and processes that sweep at the same time are not in each other's way.
 *
 * What falls due before the sweep after the next is looked at in each; all that falls due within `aheadMs` in the first
 * one, after being woken, and else as often as it is cheap. Where that takes long, what is overdue comes first again and
 * again.
 */
export function createSweeper(options: {
  sweep: (part: SweepPart) => Promise<SweepResult>
  everyMs: number
  aheadMs: number
  heartbeat: Heartbeat
  events: EventBus
  clock: Clock
  random?: () => number
}): Sweeper {
  const { sweep, everyMs, aheadMs, heartbeat, events, clock, random = Math.random } = options
  const stopping = new AbortController()
  const memory = new SweepMemory()
  let waiting: AbortController | undefined
  let isWoken = false
  let isFullAgainAt = Number.NEGATIVE_INFINITY
  let sweeping: Promise<void> | undefined

  async function run(): Promise<void> {
    await rest(random() * Math.min(SOON_MS, everyMs))
    while (!stopping.signal.aborted) {
      const { isWantedSoon } = await sweepThrough()
      if (stopping.signal.aborted) return
      const pauseMs = isWantedSoon ? Math.min(AGAIN_MS, everyMs) : everyMs
      if (!isWoken) await rest(pauseMs * (1 + JITTER * (2 * random() - 1)))
      if (isWoken) await rest(random() * SOON_MS)
    }
  }

  /** Sweeps until what is to be looked at has been, or somebody asks for another sweep. */
  async function sweepThrough(): Promise<{ isWantedSoon: boolean }> {
    isWoken = false
    const startedAt = clock.monotonic()
    const isFull = startedAt >= isFullAgainAt
    const wanted = {
      aheadMs: isFull ? aheadMs : Math.min(2 * everyMs, aheadMs),
      memory,
      upcomingMs: UPCOMING_MS,
      isWoken: () => isWoken,
      signal: stopping.signal,
    }
    let from: SweepPart['from']
    let hasFailed = false
    let isSoon = false
    do {
      const partStartedAt = clock.monotonic()
      const { next, isWantedSoon = false, ...result } = await sweep({ ...wanted, from })
      isSoon = isWantedSoon
      if (stopping.signal.aborted) break
      events.emit('sweep-finished', { ...result, tookMs: clock.monotonic() - partStartedAt })
      hasFailed ||= result.error !== undefined
      from = next
    } while (from && !isWoken)
    if (isFull && !isWoken && !hasFailed) {
      const endedAt = clock.monotonic()
      isFullAgainAt = endedAt + Math.min(aheadMs, FULL_SHARE * (endedAt - startedAt))
    }
    return { isWantedSoon: isSoon }
  }

  /** Resolves after `ms`, or when the sweeper is woken or stopped. */
  async function rest(ms: number): Promise<void> {
    waiting = new AbortController()
    const signal = AbortSignal.any([stopping.signal, waiting.signal])
    const until = clock.monotonic() + ms
    while (!signal.aborted) {
      heartbeat.beat()
      const left = until - clock.monotonic()
      if (left <= 0) return
      await clock.sleep(Math.min(left, BEAT_MS), signal).catch(() => {})
    }
  }

  return {
    name: 'sweeper',
    async start() {
      sweeping = run()
    },
    async stop() {
      stopping.abort()
      await sweeping
    },
    wake() {
      isWoken = true
      isFullAgainAt = Number.NEGATIVE_INFINITY
      waiting?.abort()
    },
  }
}
