import { blameOf, type OrderExpiryError } from '../errors.ts'
import type { Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'
import { pagesOf, type Sweeping } from './sweeping.ts'
import { hasMetOutage, isHeld, Tally } from './tally.ts'

export interface OverdueFound {
  overdue: number
  tally: Tally
  /** The orders that were not tried because the store has rejected them before, by id. */
  rejected: Map<string, DueOrder>
  /** Undecided orders that had no check and were given one. */
  handedOver: number
  /** Whether undecided orders could not be given a check. */
  isWantedSoon: boolean
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
  const [tally, rejected, rejectedNow] = [new Tally(), new Map<string, DueOrder>(), new Set<string>()]
  const none = { overdue: 0, handedOver: 0, isWantedSoon: false, last: undefined }
  const found: OverdueFound = { ...none, tally, rejected, end: 'reached' }
  let hadOutage = false
  try {
    for await (const page of pagesOf({ ...options, dueBefore: overdueBefore, after: undefined })) {
      found.overdue += page.length
      found.last = page.at(-1)
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
      await handOver(undecided, found, options)
      const hasOutage = settlements.some(hasMetOutage)
      // One page may have been unlucky, or to blame; of two in a row, the store is.
      if ((hasOutage && hadOutage) || settlements.some(isHeld)) return { ...found, end: 'stopped' }
      hadOutage = hasOutage
    }
  } catch (error) {
    tally.note(error, signal)
    return { ...found, end: 'broken' }
  }
  memory.keepOnly(new Set([...rejected.keys(), ...rejectedNow]))
  return found
}

/** Whether perhaps only another order of the batch has stopped it. */
function isUndecided(error: OrderExpiryError): boolean {
  return error.code === 'STORE_UNDECIDED' || blameOf(error) === 'lock'
}

async function handOver(orders: readonly DueOrder[], found: OverdueFound, options: Sweeping): Promise<void> {
  // Asking Redis again for each page would hold up what is overdue.
  if (orders.length === 0 || found.isWantedSoon) return
  try {
    found.handedOver += await options.addChecks(orders)
  } catch (error) {
    found.tally.note(error, options.signal)
    found.isWantedSoon = true
  }
}
