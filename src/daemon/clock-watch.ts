import { CLOCKS_DIFFER_MS, type ClockOffsets } from '../observe/clock-offsets.ts'
import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import { createLoop } from '../runtime/loop.ts'
import type { RemoteClock } from '../runtime/remote-clock.ts'
import type { Service } from '../runtime/service.ts'

/** A difference that has been told of ends below this, so that one about as large is not told of again and again. */
const AGREES_MS = 1_000

type Other = keyof ClockOffsets

/**
 * Asks the clocks of Redis and the order store every few seconds, and tells when one begins and ceases to differ from ours.
 *
 * @param options.everyMs pause between two looks
 * @param options.read ask them, in epoch milliseconds; undefined: do not ask now. What fails is not reported here
 * @param options.onRedisSetBack the clock of Redis was set back by as many milliseconds; again with the next look, if that fails
 * @param options.report called after each look with what differs, and once with nothing when all agree again
 */
export function createClockWatch(options: {
  clocks: Readonly<Record<Other, RemoteClock>>
  everyMs: number
  read: Readonly<Record<Other, () => Promise<number> | undefined>>
  onRedisSetBack: (byMs: number) => Promise<void>
  report: (offsets: ClockOffsets | undefined) => Promise<void>
  events: EventBus
  clock: Clock
}): Service {
  const { clocks, everyMs, read, onRedisSetBack, report, events, clock } = options
  const differing = new Set<Other>()
  let isReported = false
  let setBackMs = 0

  async function step(): Promise<number> {
    await Promise.all((Object.keys(clocks) as Other[]).map(look))
    if (setBackMs > CLOCKS_DIFFER_MS && (await isDone(onRedisSetBack(setBackMs)))) setBackMs = 0
    const differs = differing.size > 0
    const offsets = { redis: clocks.redis.offsetMs, store: clocks.store.offsetMs }
    if ((differs || isReported) && (await isDone(report(differs ? offsets : undefined)))) isReported = differs
    return everyMs
  }

  /** What fails comes again with the next look. */
  function isDone(work: Promise<void>): Promise<boolean> {
    return work.then(
      () => true,
      () => false,
    )
  }

  async function look(of: Other): Promise<void> {
    const answer = read[of]()
    if (!answer) return
    try {
      const byMs = await clocks[of].ask(() => answer)
      if (clocks[of] === clocks.redis) setBackMs = Math.max(setBackMs, byMs)
    } catch {
      return // whoever needs it reports that
    }
    const offsetMs = clocks[of].offsetMs ?? 0
    const isTold = differing.has(of)
    if (!isTold && Math.abs(offsetMs) > CLOCKS_DIFFER_MS) {
      differing.add(of)
      events.emit('clock-differs', { of, offsetMs })
    } else if (isTold && Math.abs(offsetMs) < AGREES_MS) {
      differing.delete(of)
      events.emit('clock-agrees', { of })
    }
  }

  return createLoop({ name: 'clock-watch', step, clock })
}
