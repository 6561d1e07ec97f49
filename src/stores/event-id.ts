import { createHash } from 'node:crypto'
import type { NewEvent } from '../order/outbox.ts'

/**
 * The id of an event, the same whoever writes it and however often: a UUID of version 8. https://www.rfc-editor.org/rfc/rfc9562#section-5.8
 *
 * @param scope sets the orders of this store apart from those of others
 */
export function eventIdOf(scope: string, { type, orderId, key }: Omit<NewEvent, 'data'>): string {
  const hex = createHash('sha256')
    .update(JSON.stringify([scope, type, orderId, key]))
    .digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
