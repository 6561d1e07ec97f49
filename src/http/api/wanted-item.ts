import type { z } from 'zod'
import type { ScheduleItem } from '../../client/results.ts'
import { type DeadlineNames, parseDeadlineOrTimeout } from '../../order/deadline.ts'
import { parseOrderId } from '../../order/order-id.ts'
import type { deadlines } from './schemas.ts'

/** What a caller calls the parts of a request, for the texts of errors. */
type Names = DeadlineNames & { orderId: string }

/** Of a request about one order: the parameter of the path, and the fields of the body. */
export const NAMES: Names = {
  orderId: 'id',
  deadline: 'deadline',
  timeout: 'timeout',
  allowPast: '"allowPast": true',
}

/** Of an order somewhere in the body, by JSON pointers (RFC 6901). */
export function namesWithin(pointer: string): Names {
  const { allowPast } = NAMES
  return {
    orderId: `${pointer}/orderId`,
    deadline: `${pointer}/deadline`,
    timeout: `${pointer}/timeout`,
    allowPast,
  }
}

/**
 * What a request asks the client for.
 *
 * @param options.caller who asks, for `explain`
 * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE
 */
export function wantedItem(options: {
  orderId: string | number
  body: z.output<typeof deadlines>
  caller?: string | undefined
  now: number
  names?: Names
}): ScheduleItem {
  const { orderId, body, caller, now, names = NAMES } = options
  const deadline = parseDeadlineOrTimeout({ ...body, now, names })
  return {
    orderId: parseOrderId(orderId, names.orderId),
    ...(deadline !== undefined && { deadline }),
    ...(body.allowPast !== undefined && { allowPast: body.allowPast }),
    ...(caller !== undefined && { by: caller }),
  }
}
