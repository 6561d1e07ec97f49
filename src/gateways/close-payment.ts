import type { Verdict } from '../order/payment-gateway.ts'

/** What a provider says of a payment when it is read: a verdict already, or that it can be closed. */
export type State = Verdict | { kind: 'open'; detail: string; close: () => Promise<Closed> }

/** What a provider says when it is asked to close: `refused`, because the payment is no longer as it was when it was read. */
export type Closed = Verdict | { kind: 'refused'; detail: string }

/**
 * Reads a payment, closes it if it is open, and reads it once more if that was refused: the buyer may have paid in between, or an
 * earlier attempt, whose answer was lost, may have closed it.
 */
export async function closePayment(read: () => Promise<State>): Promise<Verdict> {
  const before = await read()
  if (before.kind !== 'open') return before
  const closed = await before.close()
  if (closed.kind !== 'refused') return closed
  const now = await read()
  if (now.kind !== 'open') return now
  return { kind: 'unknown', isThere: true, detail: `closing was refused: ${closed.detail}; it is still ${now.detail}` }
}
