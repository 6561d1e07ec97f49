import type { Clock } from '../runtime/clock.ts'
import type { EventBus } from './events.ts'

export const MINUTE_MS = 60_000
/** Upper bounds of lateness in milliseconds; the last class has none. The promise is 1 s, the aim some milliseconds. */
export const LATENESS_BOUNDS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000,
]

/** Counts of a minute: decisions by outcome (`cancelled`), and by class of lateness (`late:3`). */
export type Counts = Record<string, number>

const LATE_CLASSES = Array.from({ length: LATENESS_BOUNDS.length + 1 }, (_, place) => `late:${place}`)

function classOf(lateMs: number): number {
  let place = 0
  while (place < LATENESS_BOUNDS.length && (LATENESS_BOUNDS[place] as number) < lateMs) place++
  return place
}

/** Counts decisions by the minute, until they are taken. */
export class MinuteCounts {
  #minutes = new Map<number, Counts>()

  constructor({ events, clock }: { events: EventBus; clock: Clock }) {
    const thisMinute = () => Math.floor(clock.now() / MINUTE_MS)
    events.on('checks-finished', ({ checks }) => {
      const minute = thisMinute()
      for (const { outcome, lateMs } of checks) {
        this.#add(minute, outcome, 1)
        if (lateMs !== undefined) this.#add(minute, LATE_CLASSES[classOf(lateMs)] as string, 1)
      }
    })
    events.on('batch-settled', ({ by, outcomes }) => {
      if (by !== 'sweep') return // a worker's checks report themselves
      for (const outcome of ['cancelled', 'kept', 'missing']) this.#add(thisMinute(), outcome, outcomes[outcome])
    })
  }

  /** What was counted since the last call, by minutes since 1970. */
  take(): Map<number, Counts> {
    const taken = this.#minutes
    this.#minutes = new Map()
    return taken
  }

  /** Restores counts that were taken but could not be handed on. */
  giveBack(minutes: ReadonlyMap<number, Counts>): void {
    for (const [minute, counts] of minutes) {
      for (const [name, count] of Object.entries(counts)) this.#add(minute, name, count)
    }
  }

  #add(minute: number, name: string, count = 0): void {
    if (count === 0) return
    const counts = this.#minutes.get(minute) ?? {}
    counts[name] = (counts[name] ?? 0) + count
    this.#minutes.set(minute, counts)
  }
}

/** An upper bound of a quantile of lateness, in milliseconds; may be infinite. Undefined if nothing was counted. */
export function latenessOf(counts: Counts, quantile: number): number | undefined {
  const classes = LATE_CLASSES.map((name) => counts[name] ?? 0)
  let left = classes.reduce((sum, count) => sum + count, 0) * quantile
  if (left === 0) return undefined
  const index = classes.findIndex((count) => {
    left -= count
    return left <= 0
  })
  return LATENESS_BOUNDS[index] ?? Number.POSITIVE_INFINITY
}
