import type { Settlement } from '../order/settle.ts'
import type { DueOrder } from '../order/store.ts'
import { pauseSince } from './pages.ts'
import type { StepOptions } from './sweep-options.ts'
import { hasMetOutage, isHeld } from './tally.ts'

/** How long a sweep tries, at most, what the store has rejected before. */
const REJECTED_MS = 10_000

/**
 * Tries orders that the store has rejected before, in random order, so that each gets its turn where time runs out. Forgets
 * those that it no longer rejects. Never rejects.
 *
 * @returns the orders that it has not come to
 */
export async function tryRejected(options: StepOptions & { orders: readonly DueOrder[] }): Promise<DueOrder[]> {
  const { tally, orders, settle, isWoken, pageSize, memory, onStep, clock, random = Math.random, signal } = options
  const until = clock.monotonic() + REJECTED_MS
  const places = new Map(orders.map((order) => [order, random()]))
  const untried = orders.toSorted((a, b) => (places.get(a) as number) - (places.get(b) as number))
  // A rejected order costs one call alone and several in a batch; once mended, it is the other way round.
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
        if (settlement.kind !== 'failed') memory.rejected.delete(order.orderId)
      }
      if (settlements.some((settlement) => isHeld(settlement) || hasMetOutage(settlement))) break
      size = settlements.some(({ kind }) => kind === 'failed') ? 1 : Math.min(2 * size, pageSize)
      await pauseSince(startedAt, options)
    }
  } catch (error) {
    tally.note(error)
  }
  return untried
}
