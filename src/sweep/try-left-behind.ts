import { isLeftBehind, type Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'
import { pauseSince } from './pages.ts'
import type { StepOptions } from './sweep-options.ts'
import { hasMetOutage, isHeld, whyUnsettled } from './tally.ts'

/** The maximum time a sweep tries orders that were left behind before. */
const MOST_TIME_MS = 10_000

interface LeftBehindFound {
  tried: Map<DueOrder, Settlement>
  untried: DueOrder[]
  error?: unknown
}

/**
 * Tries orders that were locked or rejected before, in random order, so that each gets its turn where time runs out. Forgets
 * those that no longer are. Never rejects.
 */
export async function tryLeftBehind(options: StepOptions & { orders: readonly DueOrder[] }): Promise<LeftBehindFound> {
  const { settle, isWoken, pageSize, memory, onStep, clock, signal } = options
  const until = clock.monotonic() + MOST_TIME_MS
  const untried = shuffled(options)
  const tried = new Map<DueOrder, Settlement>()
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
        tried.set(order, settlement)
        if (isLeftBehind(settlement)) memory.leftBehind.set(order.orderId, whyUnsettled(settlement))
        else memory.leftBehind.delete(order.orderId)
      }
      if (settlements.some((settlement) => isHeld(settlement) || hasMetOutage(settlement))) break
      size = settlements.some(stopsBatch) ? 1 : Math.min(2 * size, pageSize)
      await pauseSince(startedAt, options)
    }
    return { tried, untried }
  } catch (error) {
    return { tried, untried, error }
  }
}

function stopsBatch(settlement: Settlement): boolean {
  return settlement.kind === 'failed' && !settlement.isAlone
}

function shuffled({
  orders,
  random = Math.random,
}: {
  orders: readonly DueOrder[]
  random?: () => number
}): DueOrder[] {
  const places = new Map(orders.map((order) => [order, random()]))
  return orders.toSorted((a, b) => (places.get(a) as number) - (places.get(b) as number))
}
