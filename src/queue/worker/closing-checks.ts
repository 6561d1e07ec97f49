import type { Clock } from '../../runtime/clock.ts'
import type { Waiting } from './check.ts'
import type { DueCheck } from './claimed-job.ts'

/** Payments of a batch that are closed within this time are settled together. */
const GATHER_MS = 10

/**
 * Hands over the checks whose payments have been closed, or are known not to be, some together.
 *
 * @returns how many will be handed over
 */
export function gatherClosed(
  waiting: readonly Waiting[],
  clock: Pick<Clock, 'sleep'>,
  handOver: (checks: DueCheck[]) => void,
): number {
  let closed: DueCheck[] = []
  let begun = 0
  for (const { checks, until, isClosing } of waiting) {
    if (!isClosing) continue
    begun += checks.length
    void until.then(() => {
      closed.push(...checks)
      if (closed.length > checks.length) return // another one has begun to gather
      void clock.sleep(GATHER_MS).then(() => {
        const gathered = closed
        closed = []
        handOver(gathered)
      })
    })
  }
  return begun
}
