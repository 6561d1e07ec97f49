import { settleOverdue } from './settle-overdue.ts'
import type { StepOptions } from './sweep-options.ts'
import type { SweepResult } from './tally.ts'
import { tryLeftBehind } from './try-left-behind.ts'

export interface DueSwept {
  result: SweepResult
  /** The brake held it back, the store fails, or it was a dry run: whatever is due stays so for now. */
  isStopped: boolean
  /** The first deadline after `overdueBefore` and within `aheadMs`, in epoch milliseconds by the store's clock, if there is one. */
  nextAt?: number | undefined
}

/**
 * A sweep in the place of the workers: settles all that is due by `overdueBefore`, and tells when the next order is. It asks
 * the store for little, so that it can come several times a second. Never rejects.
 *
 * @param options.since look only at orders due after that, in epoch milliseconds, and of those that were left behind before only
 *   at locked ones. Default: at all
 */
export async function sweepDue(options: StepOptions & { since?: number | undefined }): Promise<DueSwept> {
  const { store, memory, since, overdueBefore, aheadMs, onStep, clock } = options
  const askedAt = clock.monotonic()
  const pageAfter = (deadline: number) =>
    memory.seenId === undefined ? undefined : { orderId: memory.seenId, deadline }
  const after = since === undefined ? undefined : pageAfter(since)
  const { tally, leftBehind, end } = await settleOverdue({ ...options, after })
  const { result } = tally
  if (end !== 'reached') return { result, isStopped: true }
  const isWorthTrying = ({ orderId }: { orderId: string }) => !after || memory.leftBehind.get(orderId) === 'locked'
  await tryLeftBehind({ ...options, orders: leftBehind.filter(isWorthTrying), tally })
  if (!after) result.left = tally.left(overdueBefore + clock.monotonic() - askedAt)
  try {
    const [next] = await store.unpaidDueBefore(overdueBefore + aheadMs, pageAfter(overdueBefore), 1)
    onStep?.()
    const isStopped = result.error !== undefined || 'would-cancel' in result.outcomes
    return { result, isStopped, nextAt: next?.deadline }
  } catch (error) {
    return { result: tally.note(error).result, isStopped: true }
  }
}
