import type { Clock } from './clock.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { Service } from './service.ts'

/** How often the heart beats during a pause. */
const BEAT_MS = 5_000

/** A service that takes one step after the other, with a pause between them. */
interface Loop extends Service {
  /** The next step comes within `ms`, or within `ms` of the end of the one under way. Until then, further calls do nothing. */
  hurry(ms: number): void
}

/**
 * A stop ends the pause at once, and waits for the step that is under way. Stopped before its start, a loop takes no step.
 *
 * @param options.firstPauseMs pause before the first step. Default 0
 * @param options.step must not reject; its signal is aborted at the stop. @returns milliseconds until the next step
 * @param options.onStop called at each stop, once the step that was under way has ended
 * @param options.heartbeat beats during the pauses; a step has to beat for itself
 */
export function createLoop(options: {
  name: string
  firstPauseMs?: number
  step: (signal: AbortSignal) => Promise<number>
  onStop?: () => Promise<void>
  heartbeat?: Heartbeat
  clock: Clock
}): Loop {
  const { name, firstPauseMs = 0, step, onStop, heartbeat, clock } = options
  const stopping = new AbortController()
  const { signal } = stopping
  let sleeping: AbortController | undefined
  let pausedUntil = 0
  let hurriedMs: number | undefined
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    await pause(firstPauseMs)
    while (!signal.aborted) {
      hurriedMs = undefined
      await pause(await step(signal))
    }
  }

  async function pause(ms: number): Promise<void> {
    pausedUntil = clock.monotonic() + (hurriedMs ?? ms)
    while (!signal.aborted) {
      heartbeat?.beat()
      const leftMs = pausedUntil - clock.monotonic()
      if (leftMs <= 0) return
      // Not `AbortSignal.any` with the signal of the stop: that would keep a trace of each pause for ever.
      sleeping = new AbortController()
      const sleepMs = heartbeat ? Math.min(leftMs, BEAT_MS) : leftMs
      await clock.sleep(sleepMs, sleeping.signal).catch(() => {}) // hurried or stopped
    }
  }

  return {
    name,
    async start() {
      running = run()
    },
    async stop() {
      stopping.abort()
      sleeping?.abort()
      await running
      await onStop?.()
    },
    hurry(ms) {
      if (hurriedMs !== undefined) return
      hurriedMs = ms
      pausedUntil = clock.monotonic() + ms
      sleeping?.abort()
    },
  }
}
