import { asOrderExpiryError, OrderExpiryError } from '../errors.ts'
import { parseDeadline } from '../order/deadline.ts'
import { parseOrderId } from '../order/order-id.ts'
import type { Placement } from '../queue/contract.ts'
import { parseDuration } from '../runtime/duration.ts'
import { type Fields, refuseUnknown } from '../runtime/fields.ts'
import type { Refusal, ScheduleItem } from './results.ts'

/** The most characters in the name of whoever schedules an order. */
const LONGEST_NAME = 100

const FIELDS: Fields = {
  of: 'the order to schedule',
  known: ['orderId', 'deadline', 'allowPast', 'by'] satisfies (keyof ScheduleItem)[],
  meant: {
    deadline: /time|expir|dead|due|delay|ttl|until|after|minutes|seconds|at$/i,
    orderId: /id$|order/i,
    allowPast: /past|allow/i,
    by: /by|user|caller|actor/i,
  },
  code: 'INVALID_REQUEST',
}

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
 * @throws {OrderExpiryError} INVALID_ORDER_ID, INVALID_DEADLINE, INVALID_REQUEST
 */
export function parsePlacement(item: ScheduleItem, { calledAt, trace, paymentTimeout }: ScheduleCall): Placement {
  if (typeof item !== 'object' || item === null) {
    throw new OrderExpiryError('INVALID_ORDER_ID', 'expected an object { orderId, deadline }')
  }
  refuseUnknown(item, FIELDS)
  const { orderId, deadline: input = paymentTimeout, allowPast = false, by } = item
  if (typeof allowPast !== 'boolean') throw invalid('allowPast: expected true or false', allowPast)
  if (by !== undefined && typeof by !== 'string') throw invalid('by: expected a string', by)
  const spanMs = typeof input === 'string' ? parseDuration(input) : undefined
  // Each by its name: a spread takes as long as all else here.
  return {
    by: by?.slice(0, LONGEST_NAME),
    trace,
    spanMs,
    orderId: parseOrderId(orderId),
    deadline: parseDeadline({ input: spanMs === undefined ? input : calledAt + spanMs, now: calledAt, allowPast }),
    placedAt: calledAt,
  }
}

function invalid(expected: string, given: unknown): OrderExpiryError {
  return new OrderExpiryError('INVALID_REQUEST', `${expected}, given ${given === null ? 'null' : typeof given}`)
}
