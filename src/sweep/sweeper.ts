import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Heartbeat } from '../runtime/heartbeat.ts'
import { createLoop } from '../runtime/loop.ts'
import type { Service } from '../runtime/service.ts'
import type { StandIn } from './stand-in.ts'
import type { SweepMemory, SweepOptions } from './sweep-options.ts'
import type { SweepResult } from './tally.ts'

/** The first sweep of a process, and one that somebody asks for, comes within this time, at random. */
const SOON_MS = 2_000
/** The same where orders fall due that no worker settles. */
const AT_ONCE_MS = 200
/** The pause before another sweep if one has left undecided orders that no worker will take apart. */
const UNDECIDED_AGAIN_MS = 5_000
const JITTER_SHARE = 0.1
/** The maximum time that orders due soon keep a sweep from overdue ones. */
const MOST_TIME_FOR_UPCOMING_MS = 10_000
/** Full passes over the orders that fall due soon take about one part in this many of the time. */
const FULL_SHARE = 20

/** What changes from one sweep to the next. */
export type SweepPart = Pick<SweepOptions, 'aheadMs' | 'memory' | 'from' | 'upcomingMs' | 'isWoken' | 'signal'>

export interface Sweeper extends Service {
  /** Asks for a sweep soon: something has been away, or has lost data. */
  wake(): void
  /** Redis has gone: from now on, while `isRedisAway`, orders are settled when they fall due. */
  standIn(): void
}

/**
 * Sweeps the order store every `everyMs`, give or take a tenth. Every process does so on its own: there is no leader whose
 * death would end it, and processes that sweep at the same time do not get in each other's way.
 *
 * Each sweep looks at what falls due before the sweep after the next. The first one, and one after being woken, looks at
 * all that falls due within `aheadMs`; the others do so as often as it is cheap. Where that takes long, the sweeper returns
 * to what is overdue again and again. While Redis is away, a {@link StandIn} sweeps instead.
 */
export function createSweeper(options: {
  sweep: (part: SweepPart) => Promise<SweepResult>
  /** Called at the end of each sweep, unless another one is wanted at once; must not reject. */
  onSwept?: () => Promise<void>
  standIn: Pick<StandIn, 'sweep'>
  isRedisAway: () => boolean
  everyMs: number
  aheadMs: number
  heartbeat: Heartbeat
  events: EventBus
  clock: Clock
  random?: () => number
}): Sweeper {
  const { sweep, onSwept, standIn, isRedisAway, everyMs, aheadMs } = options
  const { heartbeat, events, clock, random = Math.random } = options
  const memory: SweepMemory = { leftBehind: new Map() }
  let isWoken = false
  let isFullAgainAt = Number.NEGATIVE_INFINITY

  async function step(signal: AbortSignal): Promise<number> {
    isWoken = false
    if (isRedisAway()) return sweepDue(signal)
    const startedAt = clock.monotonic()
    const isFull = startedAt >= isFullAgainAt
    const { isWantedSoon, error } = await sweepThrough({
      aheadMs: isFull ? aheadMs : Math.min(2 * everyMs, aheadMs),
      memory,
      upcomingMs: MOST_TIME_FOR_UPCOMING_MS,
      isWoken: () => isWoken,
      signal,
    })
    if (isFull && !isWoken && !error) {
      const endedAt = clock.monotonic()
      isFullAgainAt = endedAt + Math.min(aheadMs, FULL_SHARE * (endedAt - startedAt))
    }
    const pauseMs = isWantedSoon ? Math.min(UNDECIDED_AGAIN_MS, everyMs) : everyMs
    return pauseMs * (1 + JITTER_SHARE * (2 * random() - 1))
  }

  /** Sweeps until it has looked at everything, or somebody asks for another sweep. */
  async function sweepThrough(part: SweepPart) {
    let from: SweepPart['from']
    let error: SweepResult['error']
    for (;;) {
      const startedAt = clock.monotonic()
      const { next, isWantedSoon, ...result } = await sweep({ ...part, from })
      if (part.signal.aborted) return { isWantedSoon, error }
      events.emit('sweep-finished', { ...result, tookMs: clock.monotonic() - startedAt })
      error ??= result.error
      if (!isWoken) await onSwept?.()
      if (!next || isWoken) return { isWantedSoon, error }
      from = next
    }
  }

  async function sweepDue(signal: AbortSignal): Promise<number> {
    const startedAt = clock.monotonic()
    const { result, pauseMs } = await standIn.sweep({ memory, signal })
    if (signal.aborted) return 0
    events.emit('sweep-finished', { ...result, standsIn: true, tookMs: clock.monotonic() - startedAt })
    await onSwept?.()
    return pauseMs
  }

  function hurry(withinMs: number): void {
    isWoken = true
    isFullAgainAt = Number.NEGATIVE_INFINITY
    loop.hurry(random() * withinMs)
  }

  const firstPauseMs = random() * Math.min(SOON_MS, everyMs)
  const loop = createLoop({ name: 'sweeper', firstPauseMs, step, heartbeat, clock })
  return {
    ...loop,
    wake: () => hurry(SOON_MS),
    standIn: () => hurry(AT_ONCE_MS),
  }
}
