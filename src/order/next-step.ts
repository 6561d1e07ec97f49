import type { OrderExpiryError } from '../errors.ts'
import { backoffMs } from '../runtime/retry.ts'
import { isOutage, type Settlement } from './settle.ts'

/** What to do with a job, given what became of its check. */
export type Step =
  | { kind: 'finish'; outcome: Exclude<Settlement, { kind: 'postponed' | 'failed' }> }
  | { kind: 'postpone'; delayMs: number; why: string }
  | { kind: 'retry'; delayMs: number; error: OrderExpiryError }
  | { kind: 'give-up'; error: OrderExpiryError }

const LOCKED = { baseMs: 1, capMs: 2_000 }
const OUTAGE = { baseMs: 500, capMs: 5_000 }
const RETRY = { baseMs: 1_000, capMs: 60_000 }

/**
 * What follows from a settlement.
 *
 * - A postponement lasts as long as it does by the store's clock: the worker's own may be wrong.
 * - A store that is away, is busy or refuses us says nothing about the order: the check is postponed and loses no attempt.
 * - Any other failure costs an attempt; after `maxAttempts` of them the job is given up.
 *
 * @param options.started how often the check has been started, this time included
 * @param options.failed how often it has failed before
 */
export function nextStep(options: {
  settlement: Settlement
  started: number
  failed: number
  maxAttempts: number
  random?: () => number
}): Step {
  const { settlement, started, failed, maxAttempts, random = Math.random } = options
  if (settlement.kind === 'postponed') {
    const spanMs = settlement.until - settlement.evidence.decidedAt
    const leastMs = settlement.reason === 'locked' ? backoffMs({ attempt: started, ...LOCKED, random }) : 1
    const delayMs = Number.isFinite(spanMs) ? Math.max(leastMs, spanMs) : OUTAGE.capMs
    return { kind: 'postpone', delayMs, why: settlement.reason }
  }
  if (settlement.kind !== 'failed') return { kind: 'finish', outcome: settlement }

  const { error } = settlement
  // That includes a permission or a table that somebody has changed: the order is settled once that is fixed.
  if (error.retryable || isOutage(error)) {
    const delayMs = backoffMs({ attempt: started, ...OUTAGE, random })
    return { kind: 'postpone', delayMs, why: error.code }
  }
  if (failed + 1 >= maxAttempts) return { kind: 'give-up', error }
  const delayMs = backoffMs({ attempt: failed + 1, ...RETRY, random })
  return { kind: 'retry', delayMs, error }
}
