import { z } from 'zod'
import type { SinkDelivery } from '../order/outbox.ts'

/** What a store keeps of an event at a sink, as JSON. Times are epoch milliseconds by its clock. */
export const ATTEMPT = z
  .object({
    deliveredAt: z.number().optional(),
    failures: z.number().default(0),
    retryAt: z.number().optional(),
    givenUpAt: z.number().optional(),
    why: z.string().optional(),
  })
  .catch({ failures: 0 })

type Attempt = z.output<typeof ATTEMPT>

/** @param delivered whether the sink has got it, and when, where the store keeps that apart */
export function deliveryOf(
  sink: string,
  attempt: Attempt = { failures: 0 },
  delivered: { isDelivered?: boolean; at?: number | undefined } = {},
): SinkDelivery {
  const { failures, why, retryAt, givenUpAt, deliveredAt = delivered.at } = attempt
  const known = { sink, failures, ...(why !== undefined && { why }) }
  if (delivered.isDelivered || attempt.deliveredAt !== undefined)
    return { ...known, state: 'delivered', at: deliveredAt }
  if (givenUpAt !== undefined) return { ...known, state: 'given-up', at: givenUpAt }
  return { ...known, state: 'waiting', at: retryAt }
}
