import { asOrderExpiryError } from '../errors.ts'
import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import { retryUntilDone } from '../runtime/retry.ts'
import type { Service } from '../runtime/service.ts'
import type { Announcements } from './announcements.ts'

/**
 * Tells of each engagement of the brake that this process sees from now on, until the outbox has it. If the process ends before that,
 * the others tell of it, or the next one that finds the brake engaged.
 */
export function createBrakeAnnouncer(options: {
  tellEngaged: NonNullable<Announcements['tellEngaged']>
  events: EventBus
  clock: Clock
}): Service {
  const { tellEngaged, events, clock } = options
  const stopping = new AbortController()
  let telling: Promise<void> = Promise.resolve()
  events.on('brake-changed', ({ engaged, since = 0, reason, by }) => {
    if (!engaged) return
    const tell = () =>
      retryUntilDone({
        attempt: () => tellEngaged({ since, reason, by }),
        isRetryable: () => true,
        onWait: (error) => events.emit('store-error', { error: asOrderExpiryError(error) }),
        clock,
        signal: stopping.signal,
      })
    telling = telling.then(tell).catch(() => {}) // it is stopping
  })
  return {
    name: 'brake announcer',
    async start() {},
    async stop() {
      stopping.abort()
      await telling
    },
  }
}
