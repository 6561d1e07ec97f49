import type { HistoryRow } from './shop.ts'

/** What a run has shown, by the database's own history. */
export interface Verdict {
  orders: number
  cancelled: number
  /** Every promise that was broken, in words. Empty: none. */
  violations: string[]
  /**
   * Milliseconds from when an order could be cancelled again (the healing, or its deadline if later) until it was; of the
   * orders that Redis knew, and of those that it had lost or never been told of. Ascending.
   */
  recoveries: number[]
  forgottenRecoveries: number[]
}

/**
 * Judges a history. Safety counts at all times: I1 (no order cancelled that was paid or no longer pending), I3 (once,
 * and exactly one event), I4 (not before the deadline in force). Liveness (I2, I6) counts after `healedAt`: each unpaid
 * order is cancelled within its bound of the healing or of its deadline, whichever is later.
 */
export function judge(options: {
  history: readonly HistoryRow[]
  shelf: readonly { sku: string; available: number; expected: number }[]
  healedAt: number
  /** Orders that Redis knows, and what is promised for them. */
  known: ReadonlySet<string>
  boundMs: number
  /** For orders that Redis has lost or was never told of. */
  forgottenBoundMs: number
  /** Orders placed when all was well again, and what is promised for them. They do not count as recoveries. */
  late?: { ids: ReadonlySet<string>; boundMs: number }
  /** When the history was read. */
  now: number
}): Verdict {
  const { history, shelf, healedAt, known, now, late } = options
  const violations: string[] = []
  const orders = new Map<string, HistoryRow[]>()
  const events = new Map<string, number>()
  for (const row of history) {
    if (row.kind === 'order') orders.set(row.order_id, [...(orders.get(row.order_id) ?? []), row])
    else events.set(row.order_id, (events.get(row.order_id) ?? 0) + 1)
  }
  const recoveries: number[] = []
  const forgottenRecoveries: number[] = []
  let cancelled = 0
  for (const [id, rows] of orders) {
    const cancellations = rows.filter(({ before, after }) => after === 'cancelled' && before !== 'cancelled')
    const sent = events.get(id) ?? 0
    events.delete(id)
    for (const { before, was_paid, deadline, decided_at } of cancellations) {
      if (before !== 'pending' || was_paid) violations.push(`I1: order ${id} was cancelled although it was ${before}`)
      if (deadline === null || decided_at < deadline) {
        violations.push(`I4: order ${id} was cancelled ${(deadline ?? 0) - decided_at} ms before its deadline`)
      }
    }
    if (cancellations.length > 1) violations.push(`I3: order ${id} was cancelled ${cancellations.length} times`)
    if (sent !== Math.min(cancellations.length, 1)) {
      violations.push(`I3: order ${id} was cancelled ${cancellations.length} times and has ${sent} events`)
    }
    const cancellation = cancellations[0]
    if (cancellation) {
      cancelled++
      const from = Math.max(healedAt, cancellation.deadline ?? 0)
      if (late?.ids.has(id)) {
        const tookMs = cancellation.at - from
        if (tookMs <= late.boundMs) continue
        violations.push(
          `I2: order ${id}, placed when all was well, was cancelled ${Math.round(tookMs)} ms after its deadline`,
        )
        continue
      }
      const isForgotten = !known.has(id)
      if (cancellation.at >= from) (isForgotten ? forgottenRecoveries : recoveries).push(cancellation.at - from)
      if (cancellation.at - from > (isForgotten ? options.forgottenBoundMs : options.boundMs)) {
        violations.push(
          `I2: order ${id} was cancelled ${Math.round(cancellation.at - from)} ms after it could have been`,
        )
      }
      continue
    }
    const last = rows.at(-1) as HistoryRow
    const due = last.next_deadline ?? 0
    if (last.after === 'pending' && due <= now) {
      violations.push(
        `I2: order ${id} is still unpaid ${Math.round(now - Math.max(due, healedAt))} ms after it could have been cancelled`,
      )
    }
  }
  for (const id of events.keys()) violations.push(`I3: an event tells of order ${id}, which does not exist`)
  for (const { sku, available, expected } of shelf) {
    if (available !== expected) violations.push(`I3: ${available} of ${sku} on the shelf, expected ${expected}`)
  }
  for (const list of [recoveries, forgottenRecoveries]) list.sort((a, b) => a - b)
  return { orders: orders.size, cancelled, violations, recoveries, forgottenRecoveries }
}
