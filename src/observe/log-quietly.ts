import type { Clock } from '../runtime/clock.ts'

/** The same trouble is logged at most this often. */
const SAME_TROUBLE_EVERY_MS = 5_000
/** Kinds of trouble that are remembered. */
const MOST_TROUBLES = 1_000
/** Of what goes well, this many lines a second are logged; the rest is summed up. */
const LINES_PER_SECOND = 2

/** Logs a trouble, unless the same one (by `key`) was logged a moment ago. Returns whether it was logged. */
export type LogTrouble = (key: string, fields: object, message: string) => boolean

/** Returns true at most `count` times within any second. */
export function limitPerSecond(options: { count: number; clock: Clock }): () => boolean {
  const { count, clock } = options
  const times: number[] = []
  return () => {
    const now = clock.monotonic()
    if (times.length === count && now - (times[0] as number) < 1_000) return false
    times.push(now)
    if (times.length > count) times.shift()
    return true
  }
}

/**
 * Logs the same trouble at most once in {@link SAME_TROUBLE_EVERY_MS}, with the number of times it was left out. A trouble
 * that is not allowed now is logged when it comes again.
 */
export function throttle(options: {
  clock: Clock
  isAllowed: () => boolean
  log: (fields: object, message: string) => void
}): LogTrouble {
  const { clock, isAllowed, log } = options
  const seen = new Map<string, { at: number; left: number }>()
  return (key, fields, message) => {
    const { at, left } = seen.get(key) ?? { at: Number.NEGATIVE_INFINITY, left: 0 }
    if (seen.size > MOST_TROUBLES) seen.clear()
    if (clock.monotonic() - at < SAME_TROUBLE_EVERY_MS || !isAllowed()) {
      seen.set(key, { at, left: left + 1 })
      return false
    }
    seen.set(key, { at: clock.monotonic(), left: 0 })
    log({ ...fields, ...(left && { alsoLeftOut: left }) }, message)
    return true
  }
}

export interface Ration<Item> {
  add(item: Item): void
  /** Logs the rest if it is old enough. */
  look(): void
  /** Logs the rest. */
  flush(): void
}

/**
 * Logs {@link LINES_PER_SECOND} items in a second, and every `everyMs` the rest in one line. It has no timer: the rest is
 * logged with what comes next, by `look`, or at the end by `flush`.
 */
export function ration<Item>(options: {
  clock: Clock
  everyMs: number
  log: (item: Item) => void
  logRest: (rest: readonly Item[]) => void
}): Ration<Item> {
  const { clock, everyMs, log, logRest } = options
  let second = { since: Number.NEGATIVE_INFINITY, lines: 0 }
  let rest: Item[] = []
  let restSince = 0

  function add(item: Item): void {
    look()
    const now = clock.monotonic()
    if (now - second.since >= 1_000) second = { since: now, lines: 0 }
    if (second.lines++ < LINES_PER_SECOND) log(item)
    else {
      if (rest.length === 0) restSince = now
      rest.push(item)
    }
  }

  function look(): void {
    if (clock.monotonic() - restSince >= everyMs) flush()
  }

  function flush(): void {
    if (rest.length > 0) logRest(rest)
    rest = []
  }

  return { add, look, flush }
}
