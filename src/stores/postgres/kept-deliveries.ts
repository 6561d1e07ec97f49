import { z } from 'zod'
import type { SinkDelivery } from '../../order/outbox.ts'
import { ATTEMPT, deliveryOf } from '../attempt.ts'
import { ms } from './instants.ts'

/** SQL of {@link KEPT_DELIVERIES}. */
export function keptDeliveries(row: string): string {
  return `${row}.delivered_to AS "deliveredTo", ${row}.attempts, ${ms(`${row}.delivered_at`)} AS "deliveredAt"`
}

/** What a row of the outbox tells of its deliveries. */
export const KEPT_DELIVERIES = z.object({
  deliveredTo: z.array(z.string()),
  attempts: z
    .record(z.string(), ATTEMPT)
    .nullable()
    .transform((attempts) => attempts ?? {}),
  deliveredAt: z
    .number()
    .nullable()
    .transform((at) => at ?? undefined),
})

export function deliveriesIn(kept: z.output<typeof KEPT_DELIVERIES>, sinks: readonly string[]): SinkDelivery[] {
  const { deliveredTo, attempts, deliveredAt } = kept
  return sinks.map((sink) =>
    deliveryOf(sink, attempts[sink], { isDelivered: deliveredTo.includes(sink), at: deliveredAt }),
  )
}
