import { asOrderExpiryError } from '../errors.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { OrderStore } from '../order/store.ts'
import type { QueueView } from '../queue/view/queue-view.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Story, tellStory } from './story.ts'

/** The queue, the order store and what else decides on a story. */
export interface ExplainSources {
  readonly view: Pick<QueueView, 'checkOf' | 'holds'>
  readonly store: Pick<OrderStore, 'find' | 'eventsOf'>
  readonly dryRun: boolean
  readonly clock: Clock
}

/**
 * One order's story, from the queue and the order store.
 *
 * @throws {OrderExpiryError} INVALID_ORDER_ID, REDIS_*, STORE_*: half a story could be a wrong one
 */
export async function explainOrder(options: {
  orderId: string
  /** Of its check; default our own id. */
  jobId?: string | undefined
  sources: ExplainSources
}): Promise<Story> {
  const { view, store, dryRun, clock } = options.sources
  const orderId = parseOrderId(options.orderId)
  const [check, holds, [order], events] = await Promise.all([
    view.checkOf(orderId, options.jobId),
    view.holds(),
    store.find([orderId]),
    store.eventsOf?.(orderId).catch((error) => {
      if (asOrderExpiryError(error).code === 'STORE_REFUSED') return undefined // the role may write events, not read them
      throw error
    }),
  ])
  return tellStory({ orderId, now: clock.now(), check, order, events, holds: { ...holds, dryRun } })
}
