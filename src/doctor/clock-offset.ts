import type { Clock } from '../runtime/clock.ts'

/** The best of so many answers tells the time: the quicker an answer, the less it can be off. */
const SAMPLES = 5

/**
 * What another clock shows less what ours shows.
 *
 * @param options.read asks the other clock, in epoch milliseconds
 * @returns `marginMs`: half of how long the answer took; the offset is known no better
 */
export async function clockOffset(options: {
  clock: Clock
  read: () => Promise<number>
}): Promise<{ offsetMs: number; marginMs: number }> {
  const { clock, read } = options
  let best = { offsetMs: 0, marginMs: Number.POSITIVE_INFINITY }
  for (let n = 0; n < SAMPLES; n++) {
    const before = clock.now()
    const there = await read()
    const after = clock.now()
    const marginMs = (after - before) / 2 + 1 // our own clock shows whole milliseconds
    if (marginMs < best.marginMs) best = { offsetMs: there - (before + after) / 2, marginMs }
  }
  return best
}
