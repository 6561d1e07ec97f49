import type { z } from 'zod'
import type { ScheduleItem } from '../../client/results.ts'
import { OrderExpiryError } from '../../errors.ts'
import { DURATION_FORMAT, parseDuration } from '../../runtime/duration.ts'
import type { deadlines } from './schemas.ts'

/**
 * What a request asks the client for.
 *
 * @param options.caller who asks, for `explain`
 * @throws {OrderExpiryError} INVALID_DEADLINE
 */
export function wantedDeadlineOf(options: {
  orderId: string | number
  body: z.output<typeof deadlines>
  caller?: string | undefined
}): ScheduleItem {
  const { orderId, body, caller } = options
  const { deadline, timeout, allowPast } = body
  const item = { orderId, ...(allowPast !== undefined && { allowPast }), ...(caller !== undefined && { by: caller }) }
  if (deadline !== undefined && timeout !== undefined) throw invalid('expected deadline or timeout, given both')
  if (timeout !== undefined) {
    if (parseDuration(timeout) === undefined) {
      throw invalid(`timeout: expected ${DURATION_FORMAT}, given ${JSON.stringify(timeout.slice(0, 64))}`)
    }
    return { ...item, deadline: timeout }
  }
  if (deadline === undefined) return item
  if (typeof deadline === 'string' && parseDuration(deadline) !== undefined) {
    throw invalid(`deadline: expected a point in time, given ${JSON.stringify(deadline)}; a duration goes into timeout`)
  }
  return { ...item, deadline }
}

function invalid(message: string): OrderExpiryError {
  return new OrderExpiryError('INVALID_DEADLINE', message)
}
