import type { ListedEvent, Listing, Outbox, SinkDelivery } from '../order/outbox.ts'

const PAGE = 500

/** An event, and the sinks that get it again. */
export interface Replayed {
  event: ListedEvent
  deliveries: SinkDelivery[]
}

/**
 * Has events sent again, under the same ids: those given up for a sink; or those of an order or with an id, whether they were given
 * up, are waiting for their next attempt or, as far as they are kept, were delivered. What has not been tried yet is sent anyway.
 *
 * @param options.sinks to which they are sent again
 * @param options.dryRun only tell which
 * @param options.onFound told of each, after it is done
 */
export async function replayEvents(options: {
  outbox: Pick<Outbox, 'list' | 'replay'>
  sinks: readonly string[]
  only: NonNullable<Listing['only']>
  dryRun: boolean
  onFound: (replayed: Replayed) => void
}): Promise<void> {
  const { outbox, sinks, only, dryRun, onFound } = options
  let after: string | undefined
  for (let isMore = true; isMore; ) {
    const page = await outbox.list({ sinks, only, after, limit: PAGE })
    const found = page.flatMap((event): Replayed[] => {
      const deliveries = event.deliveries.filter((delivery) => isSentAgain(delivery, only))
      return deliveries.length > 0 ? [{ event, deliveries }] : []
    })
    for (const sink of dryRun ? [] : sinks) {
      const events = found.filter(({ deliveries }) => deliveries.some((delivery) => delivery.sink === sink))
      if (events.length > 0)
        await outbox.replay(
          events.map(({ event }) => event),
          { sink },
        )
    }
    for (const each of found) onFound(each)
    isMore = page.length === PAGE
    after = page.at(-1)?.position
  }
}

function isSentAgain({ state, failures }: SinkDelivery, only: Listing['only']): boolean {
  if (only === 'given-up') return state === 'given-up'
  return state !== 'waiting' || failures > 0
}
