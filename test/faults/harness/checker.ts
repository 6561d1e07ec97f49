import { type Fact, judgePromises } from '../../../src/commands/demo/judge.ts'
import type { Holding } from '../../helpers/stock-shop.ts'

/** What a run has shown, by the database's own history. */
interface Verdict {
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
 * with exactly one event, and what the order had taken is given back once), I4 (not before the deadline in force).
 * Liveness (I2, I6) counts after `healedAt`: each unpaid order is cancelled within its bound of the healing or of its
 * deadline, whichever is later.
 */
export function judgeRun(options: {
  history: readonly Fact[]
  holdings: readonly Holding[]
  healedAt: number
  /** Orders that Redis knows, and what is promised for them. */
  known: ReadonlySet<string>
  boundMs: number
  /** For orders that Redis has lost or was never told of. */
  forgottenBoundMs: number
  /** Orders placed when all was well again, and what is promised for them. They do not count as recoveries. */
  late?: { ids: ReadonlySet<string>; boundMs: number }
  /** Orders that cannot be cancelled: they may stay unpaid, but none of them is told of as cancelled. */
  rejects?: ((orderId: string) => boolean) | undefined
  /** When the history was read. */
  now: number
}): Verdict {
  const { history, holdings, healedAt, known, boundMs, forgottenBoundMs, now, late, rejects } = options
  const isLate = (orderId: string) => late?.ids.has(orderId) ?? false
  const withinMs = (orderId: string) => {
    if (rejects?.(orderId)) return Number.POSITIVE_INFINITY
    if (late?.ids.has(orderId)) return late.boundMs
    return known.has(orderId) ? boundMs : forgottenBoundMs
  }
  const breaches = judgePromises({ facts: history, withinMs, healthySince: healedAt, until: now })
  const violations = breaches.map(
    ({ orderId, text }) => `${text}${isLate(orderId) ? ', placed when all was well' : ''}`,
  )
  for (const { what, held, expected } of holdings) {
    if (held !== expected) violations.push(`I3: ${held} ${what}, expected ${expected}`)
  }

  for (const { orderId, what } of history) {
    const isToldOf = what === 'cancelled' || what === 'announced'
    if (isToldOf && rejects?.(orderId)) violations.push(`I3: order ${orderId} was ${what}, and cannot be cancelled`)
  }

  const cancellations = new Map<string, Fact>()
  for (const fact of history) {
    if (fact.what === 'cancelled' && !cancellations.has(fact.orderId)) cancellations.set(fact.orderId, fact)
  }
  const recoveries: number[] = []
  const forgottenRecoveries: number[] = []
  for (const [orderId, { at, deadline = 0 }] of cancellations) {
    const from = Math.max(healedAt, deadline)
    if (at >= from && !isLate(orderId)) (known.has(orderId) ? recoveries : forgottenRecoveries).push(at - from)
  }
  for (const list of [recoveries, forgottenRecoveries]) list.sort((a, b) => a - b)
  const orders = new Set(history.flatMap(({ orderId, what }) => (what === 'placed' ? orderId : []))).size
  return { orders, cancelled: cancellations.size, violations, recoveries, forgottenRecoveries }
}
