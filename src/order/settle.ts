import { asOrderExpiryError, blameOf, OrderExpiryError } from '../errors.ts'
import type { Breaker } from '../runtime/breaker.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Check, Outcome } from './order.ts'

/** What became of one check in a batch: its outcome, or why there is none. */
export type Settlement =
  | Exclude<Outcome, { kind: 'rejected' }>
  /** `isAlone`: the store has told it from the other orders of its batch, which it does not stop. */
  | { kind: 'failed'; error: OrderExpiryError; isAlone?: true }

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

/** A batch that is being halved asks the store again how it is after this time. */
const PROBE_FRESH_MS = 1_000

/** What the parts of a batch know together. Times are of the monotonic clock. */
interface Halving {
  /** Until when it is halved, if only locks stop it. */
  locksUntil: number
  /** The same, once something else stops it. */
  othersUntil?: number
  /** What the store last said of itself: its own error, or undefined if it works. */
  probe?: { at: number; failure: OrderExpiryError | undefined }
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
 * Whether the order stays unpaid because somebody has locked it, or because it or its company in the batch stops the
 * statement: it may well stay so for long, and good orders come before it.
 */
export function isLeftBehind(settlement: Settlement): boolean {
  if (settlement.kind === 'postponed') return settlement.reason === 'locked'
  if (settlement.kind !== 'failed') return false
  const { error } = settlement
  return error.code === 'STORE_UNDECIDED' || ['lock', 'order'].includes(blameOf(error) ?? '')
}

/**
 * Settles a batch of checks: one settlement for each, in their order. Never rejects.
 *
 * If the store refuses the batch because of what is in it (a constraint, a trigger, a lock on something else), the batch is
 * halved until the bad orders stand alone, so that they do not hold up the others. The time for that is bounded: when a
 * whole table is locked, halving helps nobody. Whatever is still together by then is `STORE_UNDECIDED`. While the
 * breaker is open, the store is not asked at all.
 *
 * No error but that of a lock is an order's unless the store passes its own probe and the order fails after that:
 * somebody may have altered the table, and put it right.
 *
 * @param options.store the store, or what stands in front of it: the brake, a dry run
 * @param options.ping resolves if the store as a whole works; without it, an error in doubt counts as an outage, any other as
 *   the order's
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

  async function settle(checks: readonly Check[], halving: Halving): Promise<Settlement[]> {
    if (breaker?.failure) return fail(checks, breaker.failure)
    const probe = halving.probe
    try {
      return await ask(checks)
    } catch (cause) {
      const error = asOrderExpiryError(cause)
      const failure = await faultOfStore({ error, halving, ping, clock })
      if (failure && isOutage(failure)) breaker?.failed(failure)
      if (failure) return fail(checks, failure)
      const now = clock.monotonic()
      if (blameOf(error) === 'lock') {
        return checks.length === 1 || now >= halving.locksUntil ? fail(checks, error) : halve(checks, halving)
      }
      // Whatever failed may have been put right before the probe: only what fails after one is the order's.
      if (checks.length === 1) return probe || !ping ? fail(checks, asRejection(error)) : settle(checks, halving)
      halving.othersUntil ??= now + HALVE_FOR_OTHERS_MS
      return now >= halving.othersUntil ? fail(checks, asUndecided(error)) : halve(checks, halving)
    }
  }

  async function ask(checks: readonly Check[]): Promise<Settlement[]> {
    onStep()
    const outcomes = await store.cancelUnpaid(checks).finally(onStep)
    if (outcomes.length !== checks.length) throw mismatch(checks.length, outcomes.length)
    breaker?.succeeded()
    return outcomes.map((outcome, index) => settlementOf(outcome, checks[index] as Check))
  }

  async function halve(checks: readonly Check[], halving: Halving): Promise<Settlement[]> {
    const middle = Math.ceil(checks.length / 2)
    const [front, back] = [checks.slice(0, middle), checks.slice(middle)]
    // In random order, so that when time runs out, it is not always the same orders that go without.
    if (random() < 0.5) return [...(await settle(front, halving)), ...(await settle(back, halving))]
    const last = await settle(back, halving)
    return [...(await settle(front, halving)), ...last]
  }
}

/** Undefined if the error is about orders; else the one that says what is wrong with the store. */
async function faultOfStore(asked: {
  error: OrderExpiryError
  halving: Halving
  ping: (() => Promise<unknown>) | undefined
  clock: Clock
}): Promise<OrderExpiryError | undefined> {
  const { error, halving, ping, clock } = asked
  const blame = blameOf(error)
  if (blame === 'lock') return undefined
  if (blame === 'store' || blame === undefined) return error
  if (!ping) return blame === 'order' ? undefined : error
  if (!halving.probe || clock.monotonic() - halving.probe.at > PROBE_FRESH_MS) {
    const failure = await ping().then(() => undefined, asStoreFault)
    halving.probe = { at: clock.monotonic(), failure }
  }
  return halving.probe.failure && (blame === 'order' ? halving.probe.failure : error)
}

/** A renamed label of an enum, for one, looks like bad data of an order; where the probe meets it, it is not. */
function asStoreFault(cause: unknown): OrderExpiryError {
  const error = asOrderExpiryError(cause)
  if (blameOf(error) !== 'order') return error
  const message = `the order store no longer is as it was at the start: ${error.message}`
  return new OrderExpiryError('STORE_MISMATCH', message, { cause })
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
  if (outcome.kind === 'rejected') return { kind: 'failed', error: outcome.error, isAlone: true }
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
