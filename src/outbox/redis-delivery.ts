import type { Connection } from '../redis/connection.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import type { Delivery } from './sink.ts'

/** For the answer to a command, and for the connection before it. */
export const REDIS_TIMEOUT_MS = 5_000

/** What becomes of an event that `add` adds to something in Redis. Never rejects. */
export async function deliverOver(
  connection: Connection,
  { add, clock }: { add: () => Promise<unknown>; clock: Clock },
): Promise<Delivery> {
  try {
    await withTimeout({ work: connection.untilReady().then(add), ms: REDIS_TIMEOUT_MS, clock })
    return { kind: 'delivered' }
  } catch (error) {
    return { kind: 'failed', why: connection.explain(error).message }
  }
}
