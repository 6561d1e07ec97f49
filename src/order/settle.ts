import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Check, Outcome } from './order.ts'
import type { OrderStore } from './store.ts'

/** What became of one check in a batch: its outcome, or why there is none. */
export type Settlement = Outcome | { kind: 'failed'; error: OrderExpiryError }

const LOCKS_MS = 3_000

export type Settle = (checks: readonly Check[]) => Promise<Settlement[]>

/**
 * Settles a batch of checks: one settlement for each, in their order. Never rejects.
 *
 * If the store rejects the batch because of what is in it (a constraint, a trigger, something else that is locked), the
 * batch is halved until the bad orders stand alone, so that they do not hold up the others. Locks are given {@link
 * LOCKS_MS}: when a whole table is locked, halving helps nobody.
 */
export function createSettle(options: { store: OrderStore; clock: Clock }): Settle {
  const { store, clock } = options
  return (checks) => settle(checks, clock.now() + LOCKS_MS)

  async function settle(checks: readonly Check[], locksUntil: number): Promise<Settlement[]> {
    try {
      const outcomes = await store.cancelUnpaid(checks)
      if (outcomes.length !== checks.length) {
        throw new OrderExpiryError(
          'STORE_MISMATCH',
          `expected ${checks.length} outcomes of the store, given ${outcomes.length}`,
        )
      }
      return outcomes.map((outcome, index) => waitForMissing(outcome, checks[index] as Check))
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      const isWorthHalving =
        error.code === 'STORE_REJECTED' || (error.code === 'STORE_LOCKED' && clock.now() < locksUntil)
      if (!isWorthHalving || checks.length === 1) return checks.map(() => ({ kind: 'failed', error }))
      const middle = Math.ceil(checks.length / 2)
      return [
        ...(await settle(checks.slice(0, middle), locksUntil)),
        ...(await settle(checks.slice(middle), locksUntil)),
      ]
    }
  }
}

/** A job can overtake the transaction that inserts its order: until the deadline, a missing order may still come. */
function waitForMissing(outcome: Outcome, check: Check): Outcome {
  if (outcome.kind !== 'missing' || check.deadline <= outcome.evidence.decidedAt) return outcome
  return { kind: 'postponed', until: check.deadline, reason: 'not-due', evidence: outcome.evidence }
}
