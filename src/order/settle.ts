import { asOrderExpiryError, blameOf, OrderExpiryError } from '../errors.ts'
import type { Breaker } from '../runtime/breaker.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Check, Outcome } from './order.ts'

/** What became of one check in a batch: its outcome, or why there is none. */
export type Settlement = Outcome | { kind: 'failed'; error: OrderExpiryError }

export type Settle = (checks: readonly Check[]) => Promise<Settlement[]>

/** How long a batch is taken apart: where it is locks that stop it, and where it is something else. */
const LOCKS_MS = 3_000
const OTHERS_MS = 10_000
/** Until when a batch is taken apart, by the monotonic clock; undefined: nothing but locks has stopped it yet. */
interface HalvingTime {
  locksUntil: number
  othersUntil: number | undefined
}

/** What became of a check, in a word, for counting. */
export function nameOfOutcome(settlement: Settlement): string {
  const isDryRun = settlement.kind === 'postponed' && settlement.reason === 'dry-run'
  return isDryRun ? 'would-cancel' : settlement.kind
}

/** Whether every other order would fail in the same way now. */
export function isOutage(error: OrderExpiryError): boolean {
  const blame = blameOf(error)
  return blame === 'store' || blame === 'store-or-order'
}

/**
 * Settles a batch of checks: one settlement for each, in their order. Never rejects.
 *
 * If the store refuses the batch because of what is in it (a constraint, a trigger, something else that is locked), the
 * batch is halved until the bad orders stand alone, so that they do not hold up the others. That takes a bounded time: when
 * a whole table is locked, halving helps nobody. What has not been taken apart by then is `STORE_UNDECIDED`.
 *
 * While the breaker is open the store is not asked at all.
 *
 * @param options.store the store, or what stands in front of it: the brake, a dry run
 * @param options.ping resolves if the store as a whole works; without it, what is in doubt is an outage
 * @param options.onStep before and after each call of the store: it goes on
 */
export function createSettle(options: {
  store: { cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> }
  ping?: () => Promise<unknown>
  breaker?: Breaker<OrderExpiryError>
  onStep?: () => void
  clock: Clock
  random?: () => number
}): Settle {
  const { store, ping, breaker, onStep = () => {}, clock, random = Math.random } = options
  return (checks) => settle(checks, { locksUntil: clock.monotonic() + LOCKS_MS, othersUntil: undefined })

  async function settle(checks: readonly Check[], time: HalvingTime): Promise<Settlement[]> {
    if (breaker?.failure) return fail(checks, breaker.failure)
    try {
      return await ask(checks)
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      if (!(await isAboutOrders(error))) {
        if (isOutage(error)) breaker?.failed(error)
        return fail(checks, error)
      }
      const now = clock.monotonic()
      if (blameOf(error) === 'lock') {
        return checks.length === 1 || now >= time.locksUntil ? fail(checks, error) : halve(checks, time)
      }
      if (checks.length === 1) return fail(checks, asRejection(error))
      const othersUntil = time.othersUntil ?? now + OTHERS_MS
      return now >= othersUntil ? fail(checks, asUndecided(error)) : halve(checks, { ...time, othersUntil })
    }
  }

  async function ask(checks: readonly Check[]): Promise<Settlement[]> {
    onStep()
    const outcomes = await store.cancelUnpaid(checks).finally(onStep)
    if (outcomes.length !== checks.length) {
      throw new OrderExpiryError(
        'STORE_MISMATCH',
        `expected ${checks.length} outcomes of the store, given ${outcomes.length}`,
      )
    }
    breaker?.succeeded()
    return outcomes.map((outcome, index) => waitForMissing(outcome, checks[index] as Check))
  }

  async function halve(checks: readonly Check[], time: HalvingTime): Promise<Settlement[]> {
    const middle = Math.ceil(checks.length / 2)
    const [front, back] = [checks.slice(0, middle), checks.slice(middle)]
    // At random, so that where the time does not suffice, it is not always the same orders that go without.
    if (random() < 0.5) return [...(await settle(front, time)), ...(await settle(back, time))]
    const last = await settle(back, time)
    return [...(await settle(front, time)), ...last]
  }

  async function isAboutOrders(error: OrderExpiryError): Promise<boolean> {
    const blame = blameOf(error)
    if (blame !== 'store-or-order') return blame === 'order' || blame === 'lock'
    if (!ping) return false
    return ping().then(
      () => true,
      () => false,
    )
  }
}

/** What fails alone while the store works is to be blamed itself. */
function asRejection(error: OrderExpiryError): OrderExpiryError {
  return blameOf(error) === 'store-or-order'
    ? new OrderExpiryError('STORE_REJECTED', `for this order alone: ${error.message}`, { cause: error })
    : error
}

function asUndecided(error: OrderExpiryError): OrderExpiryError {
  return new OrderExpiryError(
    'STORE_UNDECIDED',
    `an order in the batch stops it, and was not found in time: ${error.message}`,
    {
      cause: error,
    },
  )
}

function fail(checks: readonly Check[], error: OrderExpiryError): Settlement[] {
  return checks.map(() => ({ kind: 'failed', error }))
}

/** A job can overtake the transaction that inserts its order: until the deadline, a missing order may still come. */
function waitForMissing(outcome: Outcome, check: Check): Outcome {
  if (outcome.kind !== 'missing' || check.deadline <= outcome.evidence.decidedAt) return outcome
  return { kind: 'postponed', until: check.deadline, reason: 'not-due', evidence: outcome.evidence }
}
