/** BullMQ keeps the time in the high bits of a delayed job's score; the low ones order jobs of the same millisecond. */
const SCORES_OF_A_MS = 0x1000

/** When a delayed job is due, in epoch milliseconds, given its score in the sorted set (`getDelayedScore` in BullMQ's scripts). */
export function dueAtOf(score: number): number {
  return Math.floor(score / SCORES_OF_A_MS)
}

/** The least score of a job that is due at this time. */
export function scoreOf(dueAt: number): number {
  return dueAt * SCORES_OF_A_MS
}
