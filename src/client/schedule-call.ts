import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import { parseDeadline } from '../order/deadline.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { Placement } from '../queue/contract.ts'
import type { Refusal, ScheduleItem } from './results.ts'

/** The most characters in the name of whoever schedules an order. */
const LONGEST_NAME = 100

/** @property trace the trace context to be written on the job */
interface ScheduleCall {
  calledAt: number
  trace?: string | undefined
  paymentTimeout: string
}

/** What a call asks for, or why it cannot be done. */
export function tryPlacement(item: ScheduleItem, call: ScheduleCall): Placement | Refusal {
  try {
    return parsePlacement(item, call)
  } catch (error) {
    return { orderId: item?.orderId, error: asOrderExpiryError(error) }
  }
}

/**
 * What a call asks for.
 *
 * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE
 */
export function parsePlacement(item: ScheduleItem, { calledAt, trace, paymentTimeout }: ScheduleCall): Placement {
  if (typeof item !== 'object' || item === null) {
    throw new OrderExpiryError('INVALID_ORDER_ID', 'expected an object { orderId, deadline }')
  }
  const { orderId, deadline = paymentTimeout, allowPast = false, by } = item
  return {
    ...(typeof by === 'string' && { by: by.slice(0, LONGEST_NAME) }),
    ...(trace !== undefined && { trace }),
    orderId: parseOrderId(orderId),
    deadline: parseDeadline({ input: deadline, now: calledAt, allowPast }),
    placedAt: calledAt,
  }
}
