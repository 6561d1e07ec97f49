import { z } from 'zod'
import type { OrderExpiry } from '../../client/client.ts'
import type { ScheduleItem } from '../../client/results.ts'
import { asOrderExpiryError, OrderExpiryError } from '../../errors.ts'
import { batchOrder, type batchResults } from './schemas.ts'
import { wantedDeadlineOf } from './wanted-deadline.ts'

type BatchResult = z.output<typeof batchResults>['results'][number]

/** A result for each order, in their order. */
export async function scheduleAll(options: {
  client: Pick<OrderExpiry, 'scheduleMany'>
  orders: readonly unknown[]
  caller: string | undefined
}): Promise<BatchResult[]> {
  const { client, orders, caller } = options
  const results: BatchResult[] = new Array(orders.length)
  const wanted: { index: number; item: ScheduleItem }[] = []
  for (const [index, order] of orders.entries()) {
    try {
      const { orderId, ...body } = parseOrder(order)
      wanted.push({ index, item: wantedDeadlineOf({ orderId, body, caller }) })
    } catch (error) {
      results[index] = failed((order as { orderId?: unknown } | null)?.orderId, error)
    }
  }
  const scheduled = wanted.length > 0 ? await client.scheduleMany(wanted.map(({ item }) => item)) : []
  for (const [n, { index }] of wanted.entries()) {
    const result = scheduled[n] as (typeof scheduled)[number]
    results[index] = 'error' in result ? failed(result.orderId, result.error) : result
  }
  return results
}

function parseOrder(order: unknown): z.output<typeof batchOrder> {
  const parsed = batchOrder.safeParse(order)
  if (parsed.success) return parsed.data
  throw new OrderExpiryError('INVALID_REQUEST', z.prettifyError(parsed.error))
}

function failed(orderId: unknown, cause: unknown): BatchResult {
  const { code, message, httpStatus } = asOrderExpiryError(cause)
  return {
    ...(['string', 'number'].includes(typeof orderId) && { orderId: String(orderId) }),
    error: { code, detail: httpStatus < 500 ? message : code },
  }
}
