import type { Heartbeat } from '../../runtime/heartbeat.ts'
import type { CheckOptions } from './check.ts'
import type { CheckSpans } from './check-spans.ts'
import type { ClaimedJob, Claims } from './claims.ts'
import type { Sleep } from './sleep.ts'
import type { Trouble } from './trouble.ts'

export interface PumpOptions extends CheckOptions {
  /** Checks in flight at once. */
  concurrency: number
  /** Checks claimed at once, and settled in one statement, at most. Redis works on 250 for 3 to 5 ms. */
  batchSize: number
  /** Batches of good orders in flight at once. One more connection of the store serves those that were left behind. */
  maxBatches: number
  /** The deadline of jobs that have none, counted from when they were added. */
  paymentTimeoutMs: number
  /** Told of each job when it is begun for the first time. */
  onFirstSeen?: (job: { jobId: string; data: unknown }) => void
  heartbeat: Heartbeat
}

/** What it works with. */
export interface PumpParts extends PumpOptions {
  workerId: string
  claims: Claims
  sleep: Pick<Sleep, 'for' | 'tell' | 'handOn' | 'end'>
  trouble: Trouble
  spans?: CheckSpans | undefined
  /** What some jobs need before they are checked; undefined for the others. */
  prepare?: (job: ClaimedJob) => Promise<void> | undefined
  onError: (error: Error) => void
}
