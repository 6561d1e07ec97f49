import type { Clock } from '../runtime/clock.ts'
import { clockDifference } from '../runtime/human-numbers.ts'
import { type Finding, finding, ok } from './finding.ts'

/** The quicker an answer, the less it can be off: the quickest of these counts. */
const ANSWERS = 5

const SKEWED_MS = 1_000
const BADLY_SKEWED_MS = 30_000

/**
 * How another clock differs from ours.
 *
 * @param options.meaning what follows if they differ
 * @param options.read asks the other clock, in epoch milliseconds
 */
export async function compareClocks(options: {
  code: 'redis-clock' | 'store-clock'
  meaning: string
  clock: Clock
  read: () => Promise<number>
}): Promise<Finding> {
  const { code, meaning, clock, read } = options
  let best = { offsetMs: 0, marginMs: Number.POSITIVE_INFINITY }
  for (let n = 0; n < ANSWERS; n++) {
    const before = clock.now()
    const there = await read()
    const after = clock.now()
    const marginMs = (after - before) / 2 + 1 // our own clock shows whole milliseconds
    if (marginMs < best.marginMs) best = { offsetMs: there - (before + after) / 2, marginMs }
  }
  const away = Math.abs(best.offsetMs)
  const direction = best.offsetMs < 0 ? 'behind' : 'ahead of'
  const what = `${clockDifference(away)} ${direction} the clock here (± ${Math.ceil(best.marginMs)} ms)`
  const surely = away - best.marginMs
  if (surely <= SKEWED_MS) return ok(code, what)
  return finding(surely > BADLY_SKEWED_MS ? 'error' : 'warning', code, {
    what,
    meaning,
    fix: ['# set both clocks by NTP; on the machine whose clock is wrong:', 'timedatectl set-ntp true'],
  })
}
