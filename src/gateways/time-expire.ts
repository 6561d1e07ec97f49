import type { Closing, Verdict } from '../order/payment-gateway.ts'
import type { Clock } from '../runtime/clock.ts'
import { duration, orOff, orZero } from '../settings/values.ts'

/** For the provider's clock, and for a payment that is created at the last moment. */
const MARGIN_MS = 5_000

/** How long after the order's deadline the `time_expire` is that the shop gives a payment. Undefined: it gives none, or another one. */
export const timeExpire = orOff(orZero(duration(1_000, 15 * 86_400_000)))

/**
 * What to think of a payment that the provider does not know yet: it comes into being when the buyer opens it, so it is closed only
 * once the absolute time has passed after which the provider creates none.
 */
export function notCreated(expireAfterMs: number | undefined, { deadline }: Closing, clock: Clock): Verdict {
  const detail = 'not created by the buyer yet'
  if (expireAfterMs === undefined)
    return { kind: 'cannot-close', detail: `${detail}; without time_expire it still can be` }
  const waitMs = deadline + expireAfterMs + MARGIN_MS - clock.now()
  if (waitMs > 0) return { kind: 'closing', retryAfterMs: waitMs, detail: `${detail}; waiting for its time_expire` }
  return { kind: 'closed', detail: 'never created, and its time_expire has passed' }
}
