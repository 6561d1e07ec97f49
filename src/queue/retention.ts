import type { EventBus } from '../observe/events.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Service } from '../runtime/service.ts'
import { untilAborted } from '../runtime/timeout.ts'
import { CheckQueue, type OpenQueue } from './check-queue.ts'

/** For how long finished checks are kept, and how many of them, whichever is less. */
export interface Retention {
  ageMs: number
  count: number
}

type State = 'completed' | 'failed'

const DAY_MS = 86_400_000
const KEEP: Record<State, Retention> = {
  completed: { ageMs: 7 * DAY_MS, count: 20_000 },
  failed: { ageMs: 90 * DAY_MS, count: 100_000 },
}
const EVERY_MS = 30_000
const JITTER = 0.2
/** Checks in one script, which takes a millisecond or two, and the pause before the next: Redis has more urgent work. */
const CHUNK = 100
const BREATH_MS = 10
/** For so long one process has the turn, if it does not take it again; the others look in their next round. */
const TURN_MS = 5_000

/**
 * Drops finished checks that are too old or too many, a few at a time. BullMQ can drop one with each that finishes; that
 * would cost Redis up to a fifth of what it can settle in a burst, and one that finds a million would hold it for seconds.
 *
 * @param options.connection whose commands time out; it is not closed
 */
export function createRetention(options: {
  connection: Connection
  queue: NamedQueue
  keep?: Record<State, Retention>
  events: EventBus
  clock: Clock
  random?: () => number
}): Service {
  const { connection, keep = KEEP, events, clock, random = Math.random } = options
  const queues = new CheckQueue(options)
  const { keys } = options.queue
  const stopping = new AbortController()
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await rest(EVERY_MS * (1 + JITTER * (2 * random() - 1)))
      try {
        for (const state of ['completed', 'failed'] as const) await untilAborted(trim(state), stopping.signal)
      } catch (error) {
        if (!stopping.signal.aborted)
          events.emit('redis-error', { connection: 'retention', error: connection.explain(error) })
      }
    }
  }

  async function trim(state: State): Promise<void> {
    const { queue, redis } = await queues.open()
    let isOurs = (await redis.set(keys.retention, '1', 'PX', TURN_MS, 'NX')) === 'OK'
    while (isOurs && !stopping.signal.aborted) {
      const dropped = await dropSome({ queue, redis }, state)
      if (dropped < CHUNK) {
        await redis.del(keys.retention)
        return
      }
      await rest(BREATH_MS)
      isOurs = (await redis.set(keys.retention, '1', 'PX', TURN_MS, 'XX')) === 'OK'
    }
  }

  /** Drops the oldest. @returns how many */
  async function dropSome({ queue, redis }: Pick<OpenQueue, 'queue' | 'redis'>, state: State): Promise<number> {
    const { ageMs, count } = keep[state]
    const finished = keys[state]
    const [all, old] = await Promise.all([redis.zcard(finished), redis.zcount(finished, '-inf', clock.now() - ageMs)])
    const surplus = Math.max(all - count, old)
    return surplus > 0 ? (await queue.clean(0, Math.min(surplus, CHUNK), state)).length : 0
  }

  function rest(ms: number): Promise<void> {
    return clock.sleep(ms, stopping.signal).catch(() => {}) // stopped
  }

  return {
    name: 'retention',
    async start() {
      running = run()
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}
