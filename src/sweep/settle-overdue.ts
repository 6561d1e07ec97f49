import { blameOf, type OrderExpiryError } from '../errors.ts'
import type { Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'
import { pagesOf, type Sweeping } from './sweeping.ts'
import { hasMetOutage, isHeld, Tally } from './tally.ts'

interface OverdueFound {
  tally: Tally
  /** The orders that were not tried because the store has rejected them before. */
  rejected: DueOrder[]
  last: DueOrder | undefined
  /** There are no more orders; the brake or an outage has stopped it; it could not read on. */
  end: 'reached' | 'stopped' | 'broken'
}

/**
 * Settles what is overdue, page by page, except the orders that the store has rejected before. Undecided orders get a
 * check, so that workers take them apart at once. Never rejects.
 */
export async function settleOverdue(options: Sweeping & { overdueBefore: number }): Promise<OverdueFound> {
  const { settle, overdueBefore, memory, signal } = options
  const tally = new Tally()
  const rejected = new Map<string, DueOrder>()
  const rejectedNow = new Set<string>()
  let last: DueOrder | undefined
  let hadOutage = false
  const found = (end: OverdueFound['end']) => ({ tally, rejected: [...rejected.values()], last, end })
  try {
    for await (const page of pagesOf({ ...options, dueBefore: overdueBefore, after: undefined })) {
      tally.overdue += page.length
      last = page.at(-1)
      for (const order of page) if (memory.isRejected(order.orderId)) rejected.set(order.orderId, order)
      const orders = page.filter(({ orderId }) => !rejected.has(orderId))
      if (orders.length === 0) continue
      const settlements = await settle(orders)
      const undecided: DueOrder[] = []
      for (const [index, order] of orders.entries()) {
        const settlement = settlements[index] as Settlement
        tally.add(order, settlement)
        if (settlement.kind !== 'failed') continue
        if (isUndecided(settlement.error)) undecided.push(order)
        if (blameOf(settlement.error) !== 'order') continue
        memory.reject(order.orderId)
        rejectedNow.add(order.orderId)
      }
      await handOver(undecided, tally, options)
      const hasOutage = settlements.some(hasMetOutage)
      // One page may have been unlucky, or to blame; of two in a row, the store is.
      if ((hasOutage && hadOutage) || settlements.some(isHeld)) return found('stopped')
      hadOutage = hasOutage
    }
  } catch (error) {
    tally.note(error, signal)
    return found('broken')
  }
  memory.keepOnly(new Set([...rejected.keys(), ...rejectedNow]))
  return found('reached')
}

/** Whether perhaps only another order of the batch has stopped it. */
function isUndecided(error: OrderExpiryError): boolean {
  return error.code === 'STORE_UNDECIDED' || blameOf(error) === 'lock'
}

async function handOver(orders: readonly DueOrder[], tally: Tally, options: Sweeping): Promise<void> {
  // Asking Redis again for each page would hold up what is overdue.
  if (orders.length === 0 || tally.isWantedSoon) return
  try {
    tally.handedOver += await options.addChecks(orders)
  } catch (error) {
    tally.note(error, options.signal)
    tally.isWantedSoon = true
  }
}
