const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** The schedule that Standard Webhooks recommends: ten attempts within three days. */
const DELAYS_MS = [
  5_000,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
]
const JITTER_SHARE = 0.2
/** A receiver that asks for more time than this is asked again nevertheless. */
const LONGEST_RETRY_AFTER_MS = HOUR_MS

/**
 * How long to wait after the n-th failed attempt; undefined: it was the last.
 *
 * @param options.retryAfterMs what the receiver asks for: never sooner
 */
export function retryDelayMs(options: {
  failures: number
  retryAfterMs?: number | undefined
  random?: () => number
}): number | undefined {
  const { failures, retryAfterMs = 0, random = Math.random } = options
  const delayMs = DELAYS_MS[failures - 1]
  if (delayMs === undefined) return undefined
  return Math.round(Math.max(delayMs * (1 + JITTER_SHARE * random()), Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS)))
}
