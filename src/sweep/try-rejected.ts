import type { Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'
import { pauseSince } from './pages.ts'
import type { StepOptions } from './sweep-options.ts'
import { hasMetOutage, isHeld } from './tally.ts'

/** The maximum time a sweep tries orders that the store has rejected before. */
const MOST_TIME_FOR_REJECTED_MS = 10_000

interface RejectedFound {
  tried: Map<DueOrder, Settlement>
  untried: DueOrder[]
  error?: unknown
}

/**
 * Tries orders that the store has rejected before, in random order, so that each gets its turn where time runs out. Forgets
 * those that it no longer rejects. Never rejects.
 */
export async function tryRejected(options: StepOptions & { orders: readonly DueOrder[] }): Promise<RejectedFound> {
  const { settle, isWoken, pageSize, memory, onStep, clock, signal } = options
  const until = clock.monotonic() + MOST_TIME_FOR_REJECTED_MS
  const untried = shuffled(options)
  const tried = new Map<DueOrder, Settlement>()
  // A rejected order costs one call alone and several in a batch; once fixed, it is the other way round.
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
        if (settlement.kind !== 'failed') memory.rejected.delete(order.orderId)
      }
      if (settlements.some((settlement) => isHeld(settlement) || hasMetOutage(settlement))) break
      size = settlements.some(({ kind }) => kind === 'failed') ? 1 : Math.min(2 * size, pageSize)
      await pauseSince(startedAt, options)
    }
    return { tried, untried }
  } catch (error) {
    return { tried, untried, error }
  }
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
