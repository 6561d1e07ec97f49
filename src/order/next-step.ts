import type { OrderExpiryError } from '../errors.ts'
import { backoffMs } from '../runtime/retry.ts'
import type { Evidence } from './order.ts'
import { LATE_AFTER_MS } from './promise.ts'
import { isLeftBehind, isOutage, type Settlement } from './settle.ts'

/** What to do with a job, given what became of its check. */
type Step =
  | { kind: 'finish'; outcome: Exclude<Settlement, { kind: 'postponed' | 'failed' }> }
  | { kind: 'postpone'; delayMs: number; why: string; isLeftBehind: boolean }
  | { kind: 'retry'; delayMs: number; error: OrderExpiryError }
  | { kind: 'give-up'; error: OrderExpiryError }

/** A lock is most often a payment that commits in a moment: while an order is late by no more, it is looked at soon again. */
const SOON_WITHIN_MS = 1_000
const LOCKED = { soonestMs: 100, leastMs: 2_000, mostMs: 24_000, shareOfLateness: 0.4 }
const JITTER_SHARE = 0.25
const OUTAGE = { baseMs: 500, capMs: 5_000 }
const LEFT_BEHIND = { baseMs: 500, capMs: 10_000 }
const RETRY = { baseMs: 1_000, capMs: 60_000 }

/**
 * What follows from a settlement.
 *
 * - A postponement lasts as long as it does by the store's clock: the worker's own may be wrong.
 * - An order that stays locked is looked at ever more rarely: every 2 s at first, every 30 s once it is a minute late.
 * - But what is due by the queue's clock and not by the store's is looked at again soon: one of them may be set right.
 * - A store that is away, is busy or refuses us says nothing about the order: the check is postponed and loses no attempt.
 * - Any other failure costs an attempt; after `maxAttempts` of them the job is given up.
 *
 * @param options.started how often the check has been started, this time included
 * @param options.failed how often it has failed before
 * @param options.now by the queue's clock, in epoch milliseconds
 */
export function nextStep(options: {
  settlement: Settlement
  started: number
  failed: number
  maxAttempts: number
  now: number
  random?: () => number
}): Step {
  const { settlement, started, failed, maxAttempts, now, random = Math.random } = options
  if (settlement.kind === 'postponed') {
    const { until, evidence, reason } = settlement
    const storeMs = Number.isFinite(until - evidence.decidedAt) ? Math.max(1, until - evidence.decidedAt) : OUTAGE.capMs
    const spanMs = reason === 'not-due' ? Math.min(storeMs, Math.max(LATE_AFTER_MS, until - now)) : storeMs
    const delayMs = reason === 'locked' ? lockedMs({ spanMs, evidence, started, random }) : spanMs
    return { kind: 'postpone', delayMs, why: reason, isLeftBehind: isLeftBehind(settlement) }
  }
  if (settlement.kind !== 'failed') return { kind: 'finish', outcome: settlement }

  const { error } = settlement
  // That includes a permission or a table that somebody has changed: the order is settled once that is fixed.
  if (error.retryable || isOutage(error)) {
    const isBehind = isLeftBehind(settlement)
    const delayMs = backoffMs({ attempt: started, ...(isBehind ? LEFT_BEHIND : OUTAGE), random })
    return { kind: 'postpone', delayMs, why: error.code, isLeftBehind: isBehind }
  }
  // It was asked for as long as PAYMENT_GRACE allows: more attempts would only hide it.
  if (failed + 1 >= maxAttempts || error.code === 'PAYMENT_UNSETTLED') return { kind: 'give-up', error }
  const delayMs = backoffMs({ attempt: failed + 1, ...RETRY, random })
  return { kind: 'retry', delayMs, error }
}

/** With jitter: those that somebody has locked together must not all come back together. */
function lockedMs(options: { spanMs: number; evidence: Evidence; started: number; random: () => number }): number {
  const { spanMs, evidence, started, random } = options
  const { decidedAt, deadline = decidedAt } = evidence
  const lateMs = decidedAt - deadline
  const { soonestMs, leastMs, mostMs, shareOfLateness } = LOCKED
  const isSoon = started === 1 || lateMs <= SOON_WITHIN_MS
  const baseMs = isSoon
    ? Math.max(soonestMs, spanMs)
    : Math.min(mostMs, Math.max(leastMs, spanMs, lateMs * shareOfLateness))
  return Math.round(baseMs * (1 + JITTER_SHARE * random()))
}
