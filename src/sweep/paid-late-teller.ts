import { asOrderExpiryError, type OrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import type { PaidLate, ToldPaidLate } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'

/** In one sweep: the others come with the next. */
const MOST_CALLS = 12
const MOST_TIME_MS = 5_000

/**
 * Has the store tell of money on cancelled orders, at most once in half of `everyMs`, however often sweeps come. Never rejects.
 *
 * @param options.tell undefined: the store cannot see it
 * @param options.onStep called before each call of the store, as a sign of life
 */
export function createPaidLateTeller(options: {
  tell: (() => Promise<ToldPaidLate>) | undefined
  everyMs: number
  onStep: () => void
  events: EventBus
  clock: Clock
}): () => Promise<void> {
  const { tell, everyMs, onStep, events, clock } = options
  let againAt = Number.NEGATIVE_INFINITY
  return async () => {
    if (!tell || clock.monotonic() < againAt) return
    againAt = clock.monotonic() + everyMs / 2
    const onTold = (orders: readonly PaidLate[]) => events.emit('orders-paid-late', { orders })
    const error = await tellPaidLate({ tell, onTold, onStep, clock })
    if (error) events.emit('store-error', { error })
  }
}

/** Never rejects. @returns the first error, though not all may have been told of then */
export async function tellPaidLate(options: {
  tell: () => Promise<ToldPaidLate>
  onTold: (orders: readonly PaidLate[]) => void
  onStep?: () => void
  clock: Clock
}): Promise<OrderExpiryError | undefined> {
  const { tell, onTold, onStep, clock } = options
  const endsAt = clock.monotonic() + MOST_TIME_MS
  let first: OrderExpiryError | undefined
  try {
    for (let call = 0; call < MOST_CALLS; call++) {
      onStep?.()
      const { orders, isMore, failed } = await tell()
      first ??= failed
      if (orders.length > 0) onTold(orders)
      if (!isMore || clock.monotonic() >= endsAt) break
    }
    return first
  } catch (error) {
    return first ?? asOrderExpiryError(error)
  }
}
