import { asOrderExpiryError, type ErrorCode, OrderExpiryError } from '../errors.ts'
import type { Breaker } from '../runtime/breaker.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Check, Outcome } from './order.ts'

/** What became of one check in a batch: its outcome, or why there is none. */
export type Settlement = Outcome | { kind: 'failed'; error: OrderExpiryError }

export type Settle = (checks: readonly Check[]) => Promise<Settlement[]>

const LOCKS_MS = 3_000
/** Somebody else's transaction was in the way of the batch; in the way of a part of it, perhaps not. */
const LOCKS: readonly ErrorCode[] = ['STORE_LOCKED', 'STORE_DEADLOCK', 'STORE_SERIALIZATION']
/** The store as a whole does not work, so that every further batch would fail as well. */
const OUTAGES: readonly ErrorCode[] = [
  'STORE_UNAVAILABLE',
  'STORE_BUSY',
  'STORE_READ_ONLY',
  'STORE_REFUSED',
  'STORE_MISMATCH',
  'OUTBOX_MISSING',
]

/** What became of a check, in a word, for counting. */
export function nameOfOutcome(settlement: Settlement): string {
  const isDryRun = settlement.kind === 'postponed' && settlement.reason === 'dry-run'
  return isDryRun ? 'would-cancel' : settlement.kind
}

/** Whether every other order would fail in the same way now. */
export function isOutage(error: OrderExpiryError): boolean {
  return OUTAGES.includes(error.code)
}

/**
 * Settles a batch of checks: one settlement for each, in their order. Never rejects.
 *
 * If the store rejects the batch because of what is in it (a constraint, a trigger, something else that is locked), the
 * batch is halved until the bad orders stand alone, so that they do not hold up the others. Locks are given {@link
 * LOCKS_MS}: when a whole table is locked, halving helps nobody.
 *
 * While the breaker is open the store is not asked at all.
 *
 * @param options.store the store, or what stands in front of it: the brake, a dry run
 */
export function createSettle(options: {
  store: { cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> }
  breaker?: Breaker<OrderExpiryError>
  clock: Clock
}): Settle {
  const { store, breaker, clock } = options
  return (checks) => settle(checks, clock.monotonic() + LOCKS_MS)

  async function settle(checks: readonly Check[], locksUntil: number): Promise<Settlement[]> {
    if (breaker?.failure) return fail(checks, breaker.failure)
    try {
      const outcomes = await store.cancelUnpaid(checks)
      if (outcomes.length !== checks.length) {
        throw new OrderExpiryError(
          'STORE_MISMATCH',
          `expected ${checks.length} outcomes of the store, given ${outcomes.length}`,
        )
      }
      breaker?.succeeded()
      return outcomes.map((outcome, index) => waitForMissing(outcome, checks[index] as Check))
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      if (isOutage(error)) breaker?.failed(error)
      const isWorthHalving =
        error.code === 'STORE_REJECTED' || (LOCKS.includes(error.code) && clock.monotonic() < locksUntil)
      if (!isWorthHalving || checks.length === 1) return fail(checks, error)
      const middle = Math.ceil(checks.length / 2)
      return [
        ...(await settle(checks.slice(0, middle), locksUntil)),
        ...(await settle(checks.slice(middle), locksUntil)),
      ]
    }
  }
}

function fail(checks: readonly Check[], error: OrderExpiryError): Settlement[] {
  return checks.map(() => ({ kind: 'failed', error }))
}

/** A job can overtake the transaction that inserts its order: until the deadline, a missing order may still come. */
function waitForMissing(outcome: Outcome, check: Check): Outcome {
  if (outcome.kind !== 'missing' || check.deadline <= outcome.evidence.decidedAt) return outcome
  return { kind: 'postponed', until: check.deadline, reason: 'not-due', evidence: outcome.evidence }
}
