import type { Measured } from './question.ts'

/** Names one figure of the bench, in all rounds. */
export interface FigureName {
  question: string
  contender: string
  case: string
  key: string
}

/** The middle value, or the mean of the two in the middle; undefined if there are none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  const low = sorted[Math.floor((sorted.length - 1) / 2)]
  const high = sorted[Math.floor(sorted.length / 2)]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}

/** The median over the rounds, or undefined where it was not measured. */
export function medianOf(measured: readonly Measured[], name: FigureName): number | undefined {
  return median([...byRound(measured, name).values()])
}

/** The largest over the rounds, or undefined where it was not measured. */
export function mostOf(measured: readonly Measured[], name: FigureName): number | undefined {
  const values = [...byRound(measured, name).values()]
  return values.length > 0 ? Math.max(...values) : undefined
}

/**
 * The median of the ratios within each round, so that what slows down a whole round, such as a busy machine, counts for both.
 * Undefined where no round has both, or the divisor is 0.
 */
export function medianRatio(measured: readonly Measured[], name: FigureName, to: FigureName): number | undefined {
  const divisors = byRound(measured, to)
  const ratios: number[] = []
  for (const [round, value] of byRound(measured, name)) {
    const divisor = divisors.get(round)
    if (divisor) ratios.push(value / divisor)
  }
  return median(ratios)
}

/** Each once, in the order of their first appearance. */
export function distinct(values: readonly string[]): string[] {
  return [...new Set(values)]
}

function byRound(measured: readonly Measured[], name: FigureName): Map<number, number> {
  const values = new Map<number, number>()
  for (const { question, contender, case: ofCase, round, figures } of measured) {
    const value = figures[name.key]
    if (value === undefined || !Number.isFinite(value)) continue
    if (question !== name.question || contender !== name.contender || ofCase !== name.case) continue
    values.set(round, value)
  }
  return values
}
