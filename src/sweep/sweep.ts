import { SWEPT_AFTER_MS } from '../order/promise.ts'
import { pagesOf } from './pages.ts'
import { settleOverdue } from './settle-overdue.ts'
import type { StepOptions, SweepOptions } from './sweep-options.ts'
import { type SweepResult, Tally } from './tally.ts'
import { tryRejected } from './try-rejected.ts'

/**
 * One sweep over the order store: settles what is overdue straight away, without the queue, and makes sure that what falls
 * due soon has a check. All by the store's clock.
 *
 * It leaves what somebody else has locked to the next sweep, and what a bad order keeps undecided to the workers. A bad
 * order does not hold up those after it, and what the store says of the overdue orders does not keep the others from their
 * checks. Orders that the store has rejected before are tried again at the end, for a bounded time. Never rejects.
 */
export async function sweep(options: SweepOptions): Promise<SweepResult> {
  const { store, memory = { rejected: new Set() }, aheadMs, clock } = options
  const tally = new Tally(options.signal)
  let now: number
  try {
    now = await store.ping()
  } catch (error) {
    return tally.note(error).result
  }
  const askedAt = clock.monotonic()
  const step = { ...options, tally, memory, overdueBefore: now - SWEPT_AFTER_MS }

  const { rejected, end } = await settleOverdue(step)
  if (end === 'broken') return tally.result
  await addUpcoming({ ...step, dueBefore: now + aheadMs })
  const isAtEnd = end === 'reached' && !tally.result.next
  const untried = isAtEnd ? await tryRejected({ ...step, orders: rejected }) : rejected
  // The store has rejected them before.
  for (const order of untried) tally.leave(order, 'STORE_REJECTED')
  return { ...tally.result, left: tally.left(now + clock.monotonic() - askedAt) }
}

/**
 * Gives a check to each order that falls due by `dueBefore` and has none. Where that takes long, or another sweep is wanted,
 * it ends after a page. Never rejects.
 */
async function addUpcoming(options: StepOptions & { dueBefore: number }): Promise<void> {
  const { tally, addChecks, overdueBefore, from, memory, pageSize, upcomingMs = Number.POSITIVE_INFINITY } = options
  const { isWoken = () => false, clock } = options
  const until = clock.monotonic() + upcomingMs
  // What is overdue is not read only to be left out.
  const { orderId = memory.seenId, deadline = overdueBefore } = from ?? {}
  const after = orderId === undefined ? undefined : { orderId, deadline: Math.max(deadline, overdueBefore) }
  try {
    for await (const page of pagesOf({ ...options, after })) {
      const orders = page.filter(({ deadline }) => deadline > overdueBefore)
      tally.result.upcoming += orders.length
      tally.result.added += await addChecks(orders)
      const [last] = page.slice(-1)
      const hasMore = page.length === pageSize
      if (last && hasMore && (clock.monotonic() >= until || isWoken())) {
        tally.result.next = last
        return
      }
    }
  } catch (error) {
    tally.note(error)
  }
}
