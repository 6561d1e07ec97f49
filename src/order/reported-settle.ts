import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import { nameOfOutcome, type Settle } from './settle.ts'

/** The settle function, with an event for each batch; for a sweep, which has no checks that tell of themselves, one for each order too. */
export function reportSettle(options: {
  settle: Settle
  by: 'worker' | 'sweep'
  events: EventBus
  clock: Clock
}): Settle {
  const { settle, by, events, clock } = options
  return async (checks) => {
    const startedAt = clock.now()
    const settlements = await settle(checks)
    const outcomes: Record<string, number> = {}
    for (const [index, settlement] of settlements.entries()) {
      const outcome = nameOfOutcome(settlement)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      if (by === 'sweep') events.emit('order-swept', { orderId: checks[index]?.orderId as string, outcome })
    }
    const failed = settlements.find((settlement) => settlement.kind === 'failed')
    events.emit('batch-settled', {
      by,
      checks: checks.length,
      tookMs: clock.now() - startedAt,
      outcomes,
      ...(failed && { error: failed.error }),
    })
    return settlements
  }
}
