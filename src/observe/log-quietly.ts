import type { Clock } from '../runtime/clock.ts'

const SAME_TROUBLE_EVERY_MS = 5_000
const MOST_TROUBLES_REMEMBERED = 1_000
const RATIONED_LINES_PER_SECOND = 2

/** Logs a problem, unless the same one (by `key`) was logged a moment ago. Returns whether it was logged. */
export type LogTrouble = (key: string, fields: object, message: string) => boolean

/** Returns true at most `count` times within any second. */
export function limitPerSecond(count: number, clock: Clock): () => boolean {
  let times: number[] = []
  return () => {
    const now = clock.monotonic()
    times = times.filter((at) => now - at < 1_000)
    return times.length < count && times.push(now) > 0
  }
}

/** Logs the same problem at most once per {@link SAME_TROUBLE_EVERY_MS}, with the number of times it was left out. */
export function throttle(options: {
  clock: Clock
  isAllowed: () => boolean
  log: (fields: object, message: string) => void
}): LogTrouble {
  const { clock, isAllowed, log } = options
  const seen = new Map<string, { at: number; left: number }>()
  return (key, fields, message) => {
    const now = clock.monotonic()
    const { at, left } = seen.get(key) ?? { at: Number.NEGATIVE_INFINITY, left: 0 }
    if (seen.size > MOST_TROUBLES_REMEMBERED) seen.clear()
    const isLogged = now - at >= SAME_TROUBLE_EVERY_MS && isAllowed()
    seen.set(key, isLogged ? { at: now, left: 0 } : { at, left: left + 1 })
    if (isLogged) log({ ...fields, ...(left && { alsoLeftOut: left }) }, message)
    return isLogged
  }
}

export type Ration<Item> = ReturnType<typeof ration<Item>>

/**
 * Logs {@link RATIONED_LINES_PER_SECOND} items in a second, and every `everyMs` the rest in one line. It has no timer: the
 * rest is logged with what comes next, by `look`, or at the end by `flush`.
 */
export function ration<Item>(options: {
  clock: Clock
  everyMs: number
  log: (item: Item) => void
  logRest: (rest: readonly Item[]) => void
}) {
  const { clock, everyMs, log, logRest } = options
  const isAllowed = limitPerSecond(RATIONED_LINES_PER_SECOND, clock)
  let rest: Item[] = []
  let restSince = 0

  function add(item: Item): void {
    look()
    if (isAllowed()) log(item)
    else if (rest.push(item) === 1) restSince = clock.monotonic()
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

export type Tally<Item> = ReturnType<typeof tally<Item>>

/**
 * Logs the first item, and every `everyMs` the number of those that followed, with the last. Like {@link ration}, it has no
 * timer.
 */
export function tally<Item>(options: {
  clock: Clock
  everyMs: number
  log: (counted: { count: number; last: Item }) => void
}) {
  const { clock, everyMs, log } = options
  let counted: { count: number; last: Item } | undefined
  let loggedAt = Number.NEGATIVE_INFINITY

  function add(item: Item): void {
    counted = { count: (counted?.count ?? 0) + 1, last: item }
    look()
  }

  function look(): void {
    if (clock.monotonic() - loggedAt >= everyMs) flush()
  }

  function flush(): void {
    if (!counted) return
    log(counted)
    counted = undefined
    loggedAt = clock.monotonic()
  }

  return { add, look, flush }
}
