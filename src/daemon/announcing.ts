import { queueOf } from '../config.ts'
import { isCancelledStatus } from '../explain/facts.ts'
import type { OrderStore } from '../order/store.ts'
import { type Announcements, createAnnouncements } from '../outbox/announcements.ts'
import { createBrakeAnnouncer } from '../outbox/brake-announcer.ts'
import { chosenSinks } from '../outbox/sinks.ts'
import { GivingUp } from '../queue/giving-up.ts'
import type { Connection } from '../redis/connection.ts'
import type { Service } from '../runtime/service.ts'
import { cancelledStatusOf, type Given } from './parts.ts'

/** What is told of beside cancellations. Undefined: nobody delivers events, or this is a dry run, which changes nothing. */
export function announcementsOf(
  given: Pick<Given, 'config'> & { store: OrderStore; connection: Connection },
): Announcements | undefined {
  const { config, store, connection } = given
  const { deliveries: outbox } = store
  if (!outbox || config.DRY_RUN || chosenSinks(config).length === 0) return undefined
  const cancelledStatus = cancelledStatusOf(config)
  return createAnnouncements({
    outbox,
    types: config.EVENTS,
    isCancelled: (status) => isCancelledStatus(status, cancelledStatus),
    queueKey: queueOf(config).keys.own,
    givingUp: new GivingUp({ connection, queue: queueOf(config) }),
  })
}

/** The same for a daemon, with the services that it takes; to be called before the state of the brake is read. */
export function startAnnouncing(given: Parameters<typeof announcementsOf>[0] & Pick<Given, 'events' | 'clock'>): {
  announcements: Announcements | undefined
  announcers: Service[]
} {
  const announcements = announcementsOf(given)
  const { tellEngaged } = announcements ?? {}
  return { announcements, announcers: tellEngaged ? [createBrakeAnnouncer({ ...given, tellEngaged })] : [] }
}
