import type { DueOrder } from '../order/store.ts'
import { pagesOf, type Sweeping } from './sweeping.ts'

interface UpcomingFound {
  /** Orders that fall due soon, and how many of them had no check. */
  upcoming: number
  added: number
  /** Where to go on, if it has not come to the end. */
  next?: DueOrder
  error?: unknown
}

/**
 * Gives a check to each order that is due between the two instants and has none. Where that takes long, or another sweep
 * is wanted, it ends after a page. Never rejects.
 *
 * @param options.begin what comes before it is not read
 */
export async function addUpcoming(
  options: Sweeping & { overdueBefore: number; dueBefore: number; begin: DueOrder | undefined },
): Promise<UpcomingFound> {
  const { addChecks, overdueBefore, begin, pageSize, upcomingMs, isWoken, clock } = options
  const until = clock.monotonic() + upcomingMs
  const found: UpcomingFound = { upcoming: 0, added: 0 }
  // What is overdue is not read only to be left out.
  const after = begin && { ...begin, deadline: Math.max(begin.deadline, overdueBefore) }
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
