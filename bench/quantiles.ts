/** The value that so much of all, from 0 to 1, is not above; NaN of nothing. `sorted`: in ascending order. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

/** At most so many values that stand for all: evenly spaced quantiles, with the least and the greatest. */
export function evenQuantiles(sorted: readonly number[], most: number): number[] {
  if (sorted.length <= most) return [...sorted]
  return Array.from({ length: most }, (_, index) => sorted[Math.round((index * (sorted.length - 1)) / (most - 1))] ?? 0)
}
