import { once } from 'node:events'
import { connect } from 'node:tls'
import { systemClock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import type { RedisProfile } from './address.ts'

const ALERT_MS = 1_000

/**
 * Why a server hangs up on a connection with TLS; undefined: it does not say. We send nothing, since what it has said is lost once we have written
 * to a connection that it has closed.
 */
export async function readTlsAlert({ host, port, path, tls }: RedisProfile): Promise<Error | undefined> {
  const place = path ? { path } : { ...(host && { host }), ...(port && { port }) }
  const socket = connect(Object.assign(place, tls)).on('error', () => {})
  try {
    await withTimeout({ work: once(socket, 'close'), ms: ALERT_MS, clock: systemClock }) // rejects with the alert
    return undefined
  } catch (error) {
    return 'code' in (error as object) ? (error as Error) : undefined
  } finally {
    socket.destroy()
  }
}
