import { blameOf, type OrderExpiryError } from '../errors.ts'
import { isLeftBehind, type Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'
import { pagesOf } from './pages.ts'
import type { StepOptions } from './sweep-options.ts'
import { hasMetOutage, isHeld, Tally, whyUnsettled } from './tally.ts'

const MOST_LEFT_BEHIND = 100_000

/**
 * Settles what is overdue, page by page, except the orders that were locked or rejected before. Undecided orders get a
 * check, so that workers take them apart at once. Never rejects.
 *
 * @param options.after where to begin; default: with the oldest
 * @returns the orders left out, and how it ended: `stopped` by the brake or an outage, `broken` if the store cannot be read
 */
export async function settleOverdue(
  options: StepOptions & { after?: DueOrder | undefined },
): Promise<{ tally: Tally; leftBehind: DueOrder[]; end: 'reached' | 'stopped' | 'broken' }> {
  const { settle, overdueBefore, memory, after } = options
  const tally = new Tally(options)
  const leftBehind: DueOrder[] = []
  const met = new Set<string>()
  let hadOutage = false
  try {
    for await (const page of pagesOf({ ...options, dueBefore: overdueBefore })) {
      tally.result.overdue += page.length
      leftBehind.push(...page.filter(({ orderId }) => memory.leftBehind.has(orderId)))
      const orders = page.filter(({ orderId }) => !memory.leftBehind.has(orderId))
      if (orders.length === 0) continue
      const settlements = await settle(orders)
      const undecided: DueOrder[] = []
      for (const [index, order] of orders.entries()) {
        const settlement = settlements[index] as Settlement
        tally.add(order, settlement)
        if (settlement.kind === 'failed' && isUndecided(settlement.error)) undecided.push(order)
        if (staysBehind(settlement) && memory.leftBehind.size < MOST_LEFT_BEHIND) {
          memory.leftBehind.set(order.orderId, whyUnsettled(settlement))
          met.add(order.orderId)
        }
      }
      await handOver(undecided, tally, options)
      const hasOutage = settlements.some(hasMetOutage)
      // One page may have been unlucky, or to blame; of two in a row, the store is.
      if ((hasOutage && hadOutage) || settlements.some(isHeld)) return { tally, leftBehind, end: 'stopped' }
      hadOutage = hasOutage
    }
  } catch (error) {
    return { tally: tally.note(error), leftBehind, end: 'broken' }
  }
  if (after) return { tally, leftBehind, end: 'reached' }
  // The others are no longer overdue.
  for (const { orderId } of leftBehind) met.add(orderId)
  memory.leftBehind = new Map([...memory.leftBehind].filter(([orderId]) => met.has(orderId)))
  return { tally, leftBehind, end: 'reached' }
}

/** Whether another order of the batch may be what stopped it. */
function isUndecided(error: OrderExpiryError): boolean {
  return error.code === 'STORE_UNDECIDED' || blameOf(error) === 'lock'
}

/** An undecided order may be a good one, in bad company: it is tried again with the others. */
function staysBehind(settlement: Settlement): boolean {
  return isLeftBehind(settlement) && whyUnsettled(settlement) !== 'STORE_UNDECIDED'
}

async function handOver(orders: readonly DueOrder[], tally: Tally, { addChecks }: StepOptions): Promise<void> {
  const { result } = tally
  // Asking Redis again for each page would hold up what is overdue.
  if (orders.length === 0 || result.isWantedSoon) return
  try {
    const handedOver = await addChecks(orders)
    if (handedOver > 0) result.handedOver = (result.handedOver ?? 0) + handedOver
  } catch (error) {
    tally.note(error)
    result.isWantedSoon = true
  }
}
