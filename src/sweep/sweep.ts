import { SWEPT_AFTER_MS } from '../order/promise.ts'
import { addUpcoming, type UpcomingFound } from './add-upcoming.ts'
import { settleOverdue } from './settle-overdue.ts'
import type { SweepOptions } from './sweep-options.ts'
import { type SweepResult, Tally } from './tally.ts'
import { tryLeftBehind } from './try-left-behind.ts'

const NOTHING_UPCOMING: UpcomingFound = { upcoming: 0, added: 0 }

/**
 * One sweep over the order store: settles what is overdue straight away, without the queue, and makes sure that what falls
 * due soon has a check. All by the store's clock.
 *
 * It leaves what somebody else has locked to the next sweep, and what a bad order keeps undecided to the workers. A bad
 * order does not hold up those after it, and what the store says of overdue ones does not keep the others from their
 * checks. Orders that were locked or rejected before are tried again at the end, for a bounded time. Orders that are set aside
 * it leaves alone: the backlog is settled only by a sweep of its own. Never rejects.
 */
export async function sweep(options: SweepOptions): Promise<SweepResult> {
  const { store, memory = { leftBehind: new Map() }, aheadMs, backlog, clock } = options
  let now: number
  try {
    now = await store.ping()
  } catch (error) {
    return new Tally(options).note(error).result
  }
  const askedAt = clock.monotonic()
  const step = { ...options, memory, overdueBefore: now - SWEPT_AFTER_MS }

  const { tally, leftBehind, end } = await settleOverdue(step)
  if (end === 'broken') return tally.result

  const { error, ...upcoming } = backlog ? NOTHING_UPCOMING : await addUpcoming({ ...step, dueBefore: now + aheadMs })
  if (error) tally.note(error)

  if (end === 'reached' && !upcoming.next) await tryLeftBehind({ ...step, orders: leftBehind, tally })
  else tally.leaveBehind(leftBehind, memory.leftBehind)
  return { ...tally.result, ...upcoming, left: tally.left(now + clock.monotonic() - askedAt) }
}
