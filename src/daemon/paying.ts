import type { Config } from '../config.ts'
import { chosenGateway, openGateway } from '../gateways/gateways.ts'
import { Closings } from '../order/closings.ts'
import type { Settle, Settlement } from '../order/settle.ts'
import type { Announcements } from '../outbox/announcements.ts'
import { ClosingTurns } from '../queue/closing-turns.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Given } from './parts.ts'

/**
 * What closes payments before their orders are cancelled, and its end. Undefined: the settings ask for none, or this is a dry run,
 * which changes nothing.
 *
 * @throws {OrderExpiryError} INVALID_SETTINGS: the gateway cannot be opened
 */
export async function openClosings(
  given: Given & { announcements: Announcements | undefined; connection: Connection; queue: NamedQueue },
): Promise<{ closings: Closings; dispose: () => Promise<void> } | undefined> {
  const { config, announcements, events, clock } = given
  const name = chosenGateway(config)
  if (name === undefined || config.DRY_RUN) return undefined
  const gateway = await openGateway(name, config, { ...given, voidAuthorised: config.AUTHORISED === 'void' })
  const closings = new Closings({
    gateway,
    turns: turnsOf(given),
    graceMs: config.PAYMENT_GRACE,
    captureChecksOrder: config.CAPTURE_CHECKS_ORDER,
    onVerdict: (verdict) => events.emit('payment-answered', verdict),
    onFound: async (found) => announcements?.tellFound?.(found),
    clock,
  })
  return { closings, dispose: () => gateway.dispose() }
}

function turnsOf(
  given: Pick<Given, 'events' | 'clock'> & {
    config: Pick<Config, 'PAYMENT_RATE'>
    connection: Connection
    queue: NamedQueue
  },
) {
  const { config, events } = given
  return new ClosingTurns({
    ...given,
    perSecond: config.PAYMENT_RATE,
    onError: (error) => events.emit('redis-error', { connection: 'closings', error }),
  })
}

/** The same, but whatever waits for its payment to be closed is settled once that is, as far as it is its turn. */
export function settlingClosed(settle: Settle): Settle {
  return async (checks) => {
    const settlements = await settle(checks)
    const waiting = [...settlements.keys()].filter((n) => closingIn(settlements[n]) !== undefined)
    if (waiting.length === 0) return settlements
    await Promise.all(waiting.map((n) => closingIn(settlements[n])))
    const again = await settle(waiting.map((n) => checks[n] as (typeof checks)[number]))
    const settled = [...settlements]
    for (const [at, n] of waiting.entries()) settled[n] = again[at] as Settlement
    return settled
  }
}

/** Resolved once its payment is closed, or known not to be; undefined: nobody closes it now. */
export function closingIn(settlement: Settlement | undefined): Promise<void> | undefined {
  return settlement && 'closed' in settlement ? settlement.closed : undefined
}
