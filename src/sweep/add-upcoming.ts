import type { DueOrder } from '../order/store.ts'
import { pagesOf } from './pages.ts'
import type { StepOptions } from './sweep-options.ts'
import type { SweepResult } from './tally.ts'

export interface UpcomingFound extends Pick<SweepResult, 'upcoming' | 'added' | 'next'> {
  error?: unknown
}

/**
 * Gives a check to each order that falls due by `dueBefore` and has none. Where that takes long, or another sweep is wanted,
 * it ends after a page. Never rejects.
 */
export async function addUpcoming(options: StepOptions & { dueBefore: number }): Promise<UpcomingFound> {
  const { addChecks, overdueBefore, from, memory, pageSize, upcomingMs = Number.POSITIVE_INFINITY } = options
  const { isWoken = () => false, clock } = options
  const until = clock.monotonic() + upcomingMs
  const found: UpcomingFound = { upcoming: 0, added: 0 }
  // What is overdue is not read only to be left out.
  const { orderId = memory.seenId, deadline = overdueBefore } = from ?? {}
  const after = orderId === undefined ? undefined : { orderId, deadline: Math.max(deadline, overdueBefore) }
  try {
    for await (const page of pagesOf({ ...options, after })) {
      const orders = page.filter(({ deadline }) => deadline > overdueBefore)
      found.upcoming += orders.length
      found.added += await addChecks(orders)
      const isLast = page.length < pageSize
      if (!isLast && (clock.monotonic() >= until || isWoken())) return { ...found, next: page.at(-1) as DueOrder }
    }
    return found
  } catch (error) {
    return { ...found, error }
  }
}
