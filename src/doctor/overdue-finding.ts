import { LATE_AFTER_MS, VERY_LATE_AFTER_MS } from '../order/promise.ts'
import { howLong } from '../runtime/human-numbers.ts'
import { type Finding, finding, ok } from './finding.ts'

/**
 * @param lateMs how long ago the oldest unpaid order should have been cancelled; undefined: none is
 * @param doubt why it may be right that nothing has cancelled it
 */
export function overdueFinding(lateMs: number | undefined, doubt = ''): Finding {
  if (lateMs === undefined) return ok('store-overdue', 'no unpaid order is overdue')
  const what = `the oldest unpaid order was due ${howLong(lateMs)} ago`
  if (lateMs <= LATE_AFTER_MS) return ok('store-overdue', what)
  return finding(lateMs > VERY_LATE_AFTER_MS && !doubt ? 'error' : 'warning', 'store-overdue', {
    what,
    meaning: `${doubt}Nothing cancels the overdue orders, or not fast enough; their stock is not given back. (Intended if the brake is engaged or DRY_RUN is set.)`,
    fix: ['# start the daemon, or look at its log and at /readyz if it runs already:', 'order-expiry start'],
  })
}
