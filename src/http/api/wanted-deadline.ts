import type { z } from 'zod'
import type { OrderExpiry } from '../../client/client.ts'
import type { ScheduleItem, ScheduleResult } from '../../client/results.ts'
import { OrderExpiryError } from '../../errors.ts'
import { DURATION_FORMAT, parseDuration } from '../../runtime/duration.ts'
import type { deadlines } from './schemas.ts'

/** What a request asks the client for. */
export interface WantedDeadline {
  item: ScheduleItem
  /** How long after the request the deadline is to be; undefined if the request names a point in time. */
  spanMs: number | undefined
}

/**
 * @param options.caller who asks, for `explain`
 * @throws {OrderExpiryError} INVALID_DEADLINE
 */
export function wantedDeadlineOf(options: {
  orderId: string | number
  body: z.output<typeof deadlines>
  paymentTimeoutMs: number
  caller?: string | undefined
}): WantedDeadline {
  const { orderId, body, paymentTimeoutMs, caller } = options
  const { deadline, timeout, allowPast } = body
  const item = { orderId, ...(allowPast !== undefined && { allowPast }), ...(caller !== undefined && { by: caller }) }
  if (deadline !== undefined && timeout !== undefined) throw invalid('expected deadline or timeout, given both')
  if (timeout !== undefined) {
    const spanMs = parseDuration(timeout)
    if (spanMs === undefined) {
      throw invalid(`timeout: expected ${DURATION_FORMAT}, given ${JSON.stringify(timeout.slice(0, 64))}`)
    }
    return { item: { ...item, deadline: timeout }, spanMs }
  }
  if (deadline === undefined) return { item, spanMs: paymentTimeoutMs }
  if (typeof deadline === 'string' && parseDuration(deadline) !== undefined) {
    throw invalid(`deadline: expected a point in time, given ${JSON.stringify(deadline)}; a duration goes into timeout`)
  }
  return { item: { ...item, deadline }, spanMs: undefined }
}

/**
 * The result of scheduling, with `unchanged` in place of a `conflict` caused by the same request sent again: the span
 * it asks for began when it was first sent, so it now asks for another deadline.
 */
export async function recognizeRepeat(options: {
  result: ScheduleResult
  spanMs: number | undefined
  client: Pick<OrderExpiry, 'find'>
}): Promise<ScheduleResult> {
  const { result, spanMs, client } = options
  if (result.result !== 'conflict' || spanMs === undefined) return result
  const { deadline, scheduledAt } = (await client.find(result.orderId))?.check ?? {}
  if (!deadline || !scheduledAt || deadline.getTime() - scheduledAt.getTime() !== spanMs) return result
  return { ...result, result: 'unchanged' }
}

function invalid(message: string): OrderExpiryError {
  return new OrderExpiryError('INVALID_DEADLINE', message)
}
