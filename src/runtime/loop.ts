import type { Clock } from './clock.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { Service } from './service.ts'
import { untilAborted } from './timeout.ts'

/** Between two beats of the heart during a pause. */
const BEAT_MS = 5_000

/** A service that takes one step after another, with a pause between them. */
interface Loop extends Service {
  /** The next step comes within `ms`, or within `ms` of the end of the one under way. Until then, more calls change nothing. */
  hurry(ms: number): void
}

/**
 * A stop ends the pause at once. A loop that is stopped before its start takes no step.
 *
 * @param options.firstPauseMs default 0
 * @param options.step must not reject; its signal is aborted at the stop. @returns milliseconds until the next step
 * @param options.atStop whether the stop waits for the step under way, or leaves it: then what it does later must be harmless
 * @param options.heartbeat beats during the pauses; a step must beat for itself
 */
export function createLoop(options: {
  name: string
  firstPauseMs?: number
  step: (signal: AbortSignal) => Promise<number>
  atStop: 'await-step' | 'leave-step'
  heartbeat?: Heartbeat
  clock: Clock
}): Loop {
  const { name, firstPauseMs = 0, step, atStop, heartbeat, clock } = options
  const stopping = new AbortController()
  const { signal } = stopping
  let pausing: AbortController | undefined
  let hurriedMs: number | undefined
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    await pause(firstPauseMs)
    while (!signal.aborted) {
      hurriedMs = undefined
      const pauseMs = await step(signal)
      if (hurriedMs === undefined) await pause(pauseMs)
      if (hurriedMs !== undefined) await pause(hurriedMs)
    }
  }

  async function pause(ms: number): Promise<void> {
    pausing = new AbortController()
    const ended = AbortSignal.any([signal, pausing.signal])
    const until = clock.monotonic() + ms
    while (!ended.aborted) {
      heartbeat?.beat()
      const leftMs = until - clock.monotonic()
      if (leftMs <= 0) return
      await clock.sleep(heartbeat ? Math.min(leftMs, BEAT_MS) : leftMs, ended).catch(() => {}) // hurried or stopped
    }
  }

  function unlessStopped(error: unknown): void {
    if (!signal.aborted) throw error
  }

  return {
    name,
    async start() {
      running = atStop === 'await-step' ? run() : untilAborted(run(), signal).catch(unlessStopped)
    },
    async stop() {
      stopping.abort()
      await running
    },
    hurry(ms) {
      if (hurriedMs !== undefined) return
      hurriedMs = ms
      pausing?.abort()
    },
  }
}
