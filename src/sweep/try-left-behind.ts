import { isLeftBehind, type Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'
import { pauseSince } from './pages.ts'
import type { StepOptions } from './sweep-options.ts'
import { hasMetOutage, isHeld, type Tally, whyUnsettled } from './tally.ts'

/** The maximum time a sweep tries orders that were left behind before. */
const MOST_TIME_MS = 10_000

/**
 * Tries orders that were locked or rejected before, in random order, so that each gets its turn where time runs out. Forgets
 * those that no longer are. Never rejects: the tally has what it finds.
 */
export async function tryLeftBehind(
  options: StepOptions & { orders: readonly DueOrder[]; tally: Tally },
): Promise<void> {
  const { settle, isWoken, pageSize, memory, onStep, leftBehindMs = MOST_TIME_MS, tally, clock, signal } = options
  const until = clock.monotonic() + leftBehindMs
  const untried = shuffled(options.orders, options.random)
  // An order that stops its batch costs one call alone and several in a batch; for any other it is the other way round.
  let size = 1
  try {
    while (untried.length > 0 && clock.monotonic() < until && !isWoken?.()) {
      signal.throwIfAborted()
      const startedAt = clock.monotonic()
      onStep?.()
      const settlements = await settle(untried.slice(-size))
      onStep?.()
      for (const [index, order] of untried.splice(-size).entries()) {
        const settlement = settlements[index] as Settlement
        tally.add(order, settlement)
        if (isLeftBehind(settlement)) memory.leftBehind.set(order.orderId, whyUnsettled(settlement))
        else memory.leftBehind.delete(order.orderId)
      }
      if (settlements.some((settlement) => isHeld(settlement) || hasMetOutage(settlement))) break
      size = settlements.some(stopsBatch) ? 1 : Math.min(2 * size, pageSize)
      await pauseSince(startedAt, options)
    }
  } catch (error) {
    tally.note(error)
  }
  tally.leaveBehind(untried, memory.leftBehind)
}

function stopsBatch(settlement: Settlement): boolean {
  return settlement.kind === 'failed' && !settlement.isAlone
}

function shuffled(orders: readonly DueOrder[], random = Math.random): DueOrder[] {
  const places = new Map(orders.map((order) => [order, random()]))
  return orders.toSorted((a, b) => (places.get(a) as number) - (places.get(b) as number))
}
