import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import { parseDeadline } from '../order/deadline.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { Placement } from '../queue/contract.ts'
import type { Refusal, ScheduleItem } from './results.ts'

/** Characters of the name of whoever schedules an order. */
const LONGEST_NAME = 100

/** An order that somebody asks to schedule. */
export interface ScheduleCall {
  item: { [Field in keyof ScheduleItem]: ScheduleItem[Field] | undefined }
  /** Epoch milliseconds. */
  calledAt: number
  /** The trace context to be written on the job. */
  trace?: string | undefined
}

export function isItem(item: unknown): item is ScheduleItem {
  return typeof item === 'object' && item !== null
}

export function noItem(): OrderExpiryError {
  return new OrderExpiryError('INVALID_ORDER_ID', 'expected an object { orderId, deadline }')
}

/** What a call asks for, or why it cannot be done. */
export function tryPlacement(call: ScheduleCall, paymentTimeout: string): Placement | Refusal {
  try {
    return parsePlacement(call, paymentTimeout)
  } catch (error) {
    return { orderId: call.item?.orderId, error: asOrderExpiryError(error) }
  }
}

/**
 * What a call asks for.
 *
 * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE
 */
export function parsePlacement({ item, calledAt, trace }: ScheduleCall, paymentTimeout: string): Placement {
  if (!isItem(item)) throw noItem()
  const { orderId, deadline = paymentTimeout, allowPast = false, by } = item
  return {
    ...(typeof by === 'string' && { by: by.slice(0, LONGEST_NAME) }),
    ...(trace !== undefined && { trace }),
    orderId: parseOrderId(orderId),
    deadline: parseDeadline({ input: deadline, now: calledAt, allowPast }),
    placedAt: calledAt,
  }
}
