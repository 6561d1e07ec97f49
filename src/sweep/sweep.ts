import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import type { LeftOverdue } from '../observe/events.ts'
import { SWEPT_AFTER_MS } from '../order/promise.ts'
import type { DueOrder } from '../order/store.ts'
import { addUpcoming } from './add-upcoming.ts'
import { settleOverdue } from './settle-overdue.ts'
import { SweepMemory } from './sweep-memory.ts'
import type { Sweeping } from './sweeping.ts'
import { tryRejected } from './try-rejected.ts'

/** Why an order is left that was not tried because the store has rejected it before. */
const NOT_TRIED = 'STORE_REJECTED'
const DEFAULTS = { upcomingMs: Number.POSITIVE_INFINITY, isWoken: () => false, onStep: () => {}, random: Math.random }

/** What one sweep has found and done. */
export interface SweepResult {
  /** Unpaid orders past their deadline by more than {@link SWEPT_AFTER_MS}, and what became of those that were tried. */
  overdue: number
  outcomes: Readonly<Record<string, number>>
  /** Those that are still unpaid, as far as the sweep has got; undefined if it cannot know. */
  left?: LeftOverdue
  /** Undecided orders that had no check and were given one: workers take them apart. */
  handedOver?: number
  /** Unpaid orders that fall due soon, and how many of them had no check and were given one. */
  upcoming: number
  added: number
  /** Where to go on with the orders that fall due soon, if the sweep has not reached their end. */
  next?: DueOrder
  /** Undecided orders could not be given a check: another sweep is wanted soon. */
  isWantedSoon?: boolean
  /** The first of the orders that could not be settled, and why. */
  failed?: { orderId: string; error: OrderExpiryError }
  /** Why the sweep left something undone, if it did. */
  error?: OrderExpiryError
}

/**
 * By default nothing is remembered, so that all overdue orders are tried alike, and the orders that fall due soon are dealt
 * with to their end. `from`, the {@link SweepResult.next} of an earlier sweep: the orders up to it have their checks.
 */
export type SweepOptions = Omit<Sweeping, Optional> &
  Partial<Pick<Sweeping, Optional>> & { from?: DueOrder | undefined }
type Optional = 'memory' | 'upcomingMs' | 'isWoken' | 'onStep' | 'random'

/**
 * One sweep over the order store: settles what is overdue straight away, without the queue, and makes sure that what falls
 * due soon has a check. All by the store's clock.
 *
 * It leaves what somebody else has locked to the next sweep, and what a bad order keeps undecided to the workers. A bad
 * order does not hold up those after it, and what the store says of the overdue orders does not keep the others from their
 * checks. Orders that the store has rejected before are tried again at the end, for a bounded time. Never rejects.
 */
export async function sweep(options: SweepOptions): Promise<SweepResult> {
  const { store, aheadMs, from, clock, signal } = options
  const sweeping = { ...DEFAULTS, memory: new SweepMemory(), ...options }
  let now: number
  try {
    now = await store.ping()
  } catch (error) {
    return {
      overdue: 0,
      outcomes: {},
      upcoming: 0,
      added: 0,
      ...(!signal.aborted && { error: asOrderExpiryError(error) }),
    }
  }
  const askedAt = clock.monotonic()
  const overdueBefore = now - SWEPT_AFTER_MS

  const { tally, rejected, last, end } = await settleOverdue({ ...sweeping, overdueBefore })
  if (end === 'broken') return { ...tally.result(), upcoming: 0, added: 0 }

  const { seenId } = sweeping.memory
  const begin = from ?? last ?? (seenId === undefined ? undefined : { orderId: seenId, deadline: overdueBefore })
  const { error, ...upcoming } = await addUpcoming({ ...sweeping, overdueBefore, dueBefore: now + aheadMs, begin })
  tally.note(error, signal)

  let untried = rejected
  if (end === 'reached' && !upcoming.next) {
    const found = await tryRejected({ ...sweeping, orders: rejected })
    for (const [order, settlement] of found.tried) tally.add(order, settlement)
    tally.note(found.error, signal)
    untried = found.untried
  }
  for (const order of untried) tally.leave(order, NOT_TRIED)
  return { ...tally.result(), ...upcoming, left: tally.left(now + clock.monotonic() - askedAt) }
}
