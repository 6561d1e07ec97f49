import { asOrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import { isAnySetAside, NOTHING_SET_ASIDE } from '../order/set-aside.ts'
import type { SetAside } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'

const AGAIN_AFTER_MS = 3_600_000
const CHANGED_AFTER_MS = 60_000

/**
 * Tells of the orders that are set aside: the first time it finds some, when they have become twice as many or half as many,
 * and else once an hour. Never rejects.
 *
 * @param options.read undefined: the order store has none
 */
export function createSetAsideTeller(options: {
  read: () => Promise<SetAside> | undefined
  events: EventBus
  clock: Clock
}): () => Promise<void> {
  const { read, events, clock } = options
  let told = NOTHING_SET_ASIDE
  let toldAt = Number.NEGATIVE_INFINITY
  return async () => {
    try {
      const setAside = await read()
      if (!setAside) return
      const silentMs = clock.monotonic() - toldAt
      const isChanged = hasChanged(told.backlog, setAside.backlog) || hasChanged(told.unreadable, setAside.unreadable)
      if (!(isChanged && silentMs >= CHANGED_AFTER_MS) && !(isAnySetAside(setAside) && silentMs >= AGAIN_AFTER_MS))
        return
      told = setAside
      toldAt = clock.monotonic()
      events.emit('orders-set-aside', { ...setAside, at: clock.now() })
    } catch (error) {
      events.emit('store-error', { error: asOrderExpiryError(error) })
    }
  }
}

function hasChanged(before: { orders: number }, now: { orders: number }): boolean {
  return now.orders > 2 * before.orders || now.orders < before.orders / 2
}
