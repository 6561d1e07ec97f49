import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Heartbeat } from '../runtime/heartbeat.ts'
import type { Service } from '../runtime/service.ts'
import type { SweepResult } from './sweep.ts'

/** The first sweep of a process, and one that somebody asks for, comes within this time, at random. */
const SOON_MS = 2_000
const JITTER = 0.1
/** How often the heart beats while nothing is to be done. */
const BEAT_MS = 5_000

export interface Sweeper extends Service {
  /** Asks for a sweep soon: something has been away, or has lost data. */
  wake(): void
}

/**
 * Sweeps the order store every `everyMs`, give or take a tenth. Each process does so by itself: there is no leader whose
 * death would end it, and processes that sweep at the same time are not in each other's way.
 */
export function createSweeper(options: {
  sweep: (signal: AbortSignal) => Promise<SweepResult>
  everyMs: number
  heartbeat: Heartbeat
  events: EventBus
  clock: Clock
  random?: () => number
}): Sweeper {
  const { sweep, everyMs, heartbeat, events, clock, random = Math.random } = options
  const stopping = new AbortController()
  let waiting: AbortController | undefined
  let isWoken = false
  let sweeping: Promise<void> | undefined

  async function run(): Promise<void> {
    await rest(random() * Math.min(SOON_MS, everyMs))
    while (!stopping.signal.aborted) {
      isWoken = false
      const startedAt = clock.monotonic()
      const result = await sweep(stopping.signal)
      if (stopping.signal.aborted) return
      events.emit('sweep-finished', { ...result, tookMs: clock.monotonic() - startedAt })
      if (!isWoken) await rest(everyMs * (1 + JITTER * (2 * random() - 1)))
      if (isWoken) await rest(random() * SOON_MS)
    }
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
      waiting?.abort()
    },
  }
}
