import { asOrderExpiryError, blameOf, OrderExpiryError } from '../errors.ts'
import type { Breaker } from '../runtime/breaker.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Check, Outcome } from './order.ts'

/** What became of one check in a batch: its outcome, or why there is none. */
export type Settlement = Exclude<Outcome, { kind: 'rejected' }> | { kind: 'failed'; error: OrderExpiryError }

export type Settle = (checks: readonly Check[]) => Promise<Settlement[]>

/** A batch that has been settled, in numbers. */
export interface SettledBatch {
  checks: number
  tookMs: number
  /** How many checks ended in which way, see {@link nameOfOutcome}. */
  outcomes: Readonly<Record<string, number>>
  /** The first error of the checks that failed. */
  error?: OrderExpiryError
}

/** The longest time a batch is halved: if only locks stop it, and if anything else does. */
const HALVE_FOR_LOCKS_MS = 3_000
const HALVE_FOR_OTHERS_MS = 10_000

/** Until when a batch is halved, by the monotonic clock; `othersUntil` is set once something else than a lock stops it. */
type HalvingTime = { locksUntil: number; othersUntil?: number }

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
 * If the store refuses the batch because of what is in it (a constraint, a trigger, a lock on something else), the batch is
 * halved until the bad orders stand alone, so that they do not hold up the others. The time for that is bounded: when a
 * whole table is locked, halving helps nobody. Whatever is still together by then is `STORE_UNDECIDED`. While the
 * breaker is open, the store is not asked at all.
 *
 * @param options.store the store, or what stands in front of it: the brake, a dry run
 * @param options.ping resolves if the store as a whole works; without it, an error in doubt counts as an outage
 * @param options.onStep called before and after each call of the store, as a sign of life
 * @param options.onOrder told of each order, by {@link nameOfOutcome}, before `onBatch`
 */
export function createSettle(options: {
  store: { cancelUnpaid(checks: readonly Check[]): Promise<Outcome[]> }
  ping?: () => Promise<unknown>
  breaker?: Breaker<OrderExpiryError>
  onStep?: () => void
  onOrder?: (order: { orderId: string; outcome: string }) => void
  onBatch?: (batch: SettledBatch) => void
  clock: Clock
  random?: () => number
}): Settle {
  const { store, ping, breaker, onStep = () => {}, onOrder, onBatch, clock, random = Math.random } = options
  return async (checks) => {
    const startedAt = clock.now()
    const settlements = await settle(checks, { locksUntil: clock.monotonic() + HALVE_FOR_LOCKS_MS })
    for (const [index, { orderId }] of checks.entries()) {
      onOrder?.({ orderId, outcome: nameOfOutcome(settlements[index] as Settlement) })
    }
    onBatch?.(summarize(settlements, clock.now() - startedAt))
    return settlements
  }

  async function settle(checks: readonly Check[], time: HalvingTime): Promise<Settlement[]> {
    if (breaker?.failure) return fail(checks, breaker.failure)
    try {
      return await ask(checks)
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      if (!(await isAboutOrders(error, ping))) {
        if (isOutage(error)) breaker?.failed(error)
        return fail(checks, error)
      }
      const now = clock.monotonic()
      if (blameOf(error) === 'lock') {
        return checks.length === 1 || now >= time.locksUntil ? fail(checks, error) : halve(checks, time)
      }
      if (checks.length === 1) return fail(checks, asRejection(error))
      const othersUntil = time.othersUntil ?? now + HALVE_FOR_OTHERS_MS
      return now >= othersUntil ? fail(checks, asUndecided(error)) : halve(checks, { ...time, othersUntil })
    }
  }

  async function ask(checks: readonly Check[]): Promise<Settlement[]> {
    onStep()
    const outcomes = await store.cancelUnpaid(checks).finally(onStep)
    if (outcomes.length !== checks.length) throw mismatch(checks.length, outcomes.length)
    breaker?.succeeded()
    return outcomes.map((outcome, index) => settlementOf(outcome, checks[index] as Check))
  }

  async function halve(checks: readonly Check[], time: HalvingTime): Promise<Settlement[]> {
    const middle = Math.ceil(checks.length / 2)
    const [front, back] = [checks.slice(0, middle), checks.slice(middle)]
    // In random order, so that when time runs out, it is not always the same orders that go without.
    if (random() < 0.5) return [...(await settle(front, time)), ...(await settle(back, time))]
    const last = await settle(back, time)
    return [...(await settle(front, time)), ...last]
  }
}

async function isAboutOrders(error: OrderExpiryError, ping?: () => Promise<unknown>): Promise<boolean> {
  const blame = blameOf(error)
  if (blame !== 'store-or-order') return blame === 'order' || blame === 'lock'
  return ping
    ? await ping()
        .then(() => true)
        .catch(() => false)
    : false
}

function mismatch(asked: number, given: number): OrderExpiryError {
  return new OrderExpiryError('STORE_MISMATCH', `expected ${asked} outcomes of the store, given ${given}`)
}

/** An order that fails alone while the store works is itself to blame. */
function asRejection(error: OrderExpiryError): OrderExpiryError {
  return blameOf(error) === 'store-or-order'
    ? new OrderExpiryError('STORE_REJECTED', `for this order alone: ${error.message}`, { cause: error })
    : error
}

function asUndecided(error: OrderExpiryError): OrderExpiryError {
  const message = `an order in the batch stops it, and was not found in time: ${error.message}`
  return new OrderExpiryError('STORE_UNDECIDED', message, { cause: error })
}

function fail(checks: readonly Check[], error: OrderExpiryError): Settlement[] {
  return checks.map(() => ({ kind: 'failed', error }))
}

/** A job can overtake the transaction that inserts its order: until the deadline, a missing order may still come. */
function settlementOf(outcome: Outcome, check: Check): Settlement {
  if (outcome.kind === 'rejected') return { kind: 'failed', error: outcome.error }
  if (outcome.kind !== 'missing' || check.deadline <= outcome.evidence.decidedAt) return outcome
  return { kind: 'postponed', until: check.deadline, reason: 'not-due', evidence: outcome.evidence }
}

function summarize(settlements: readonly Settlement[], tookMs: number): SettledBatch {
  const outcomes: Record<string, number> = {}
  for (const settlement of settlements) {
    const name = nameOfOutcome(settlement)
    outcomes[name] = (outcomes[name] ?? 0) + 1
  }
  const failed = settlements.find((settlement) => settlement.kind === 'failed')
  return { checks: settlements.length, tookMs, outcomes, ...(failed && { error: failed.error }) }
}
