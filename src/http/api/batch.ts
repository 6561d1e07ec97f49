import type { z } from 'zod'
import type { OrderExpiry } from '../../client/client.ts'
import type { ScheduleItem } from '../../client/results.ts'
import { asOrderExpiryError } from '../../errors.ts'
import { invalidRequest } from './requests.ts'
import { batchOrder, type batchResults } from './schemas.ts'
import { namesWithin, wantedItem } from './wanted-item.ts'

type BatchResult = z.output<typeof batchResults>['results'][number]

/** A result for each order, in their order. */
export async function scheduleAll(options: {
  client: Pick<OrderExpiry, 'scheduleMany'>
  orders: readonly unknown[]
  caller: string | undefined
  now: number
}): Promise<BatchResult[]> {
  const { client, orders, caller, now } = options
  const results: BatchResult[] = new Array(orders.length)
  const wanted: { index: number; item: ScheduleItem }[] = []
  for (const [index, order] of orders.entries()) {
    try {
      const within = `/orders/${index}`
      const { orderId, ...body } = parseOrder(order, within)
      wanted.push({ index, item: wantedItem({ orderId, body, caller, now, names: namesWithin(within) }) })
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

function parseOrder(order: unknown, within: string): z.output<typeof batchOrder> {
  const parsed = batchOrder.safeParse(order)
  if (parsed.success) return parsed.data
  throw invalidRequest({ error: parsed.error, within })
}

function failed(orderId: unknown, cause: unknown): BatchResult {
  const { code, message, httpStatus } = asOrderExpiryError(cause)
  return {
    ...(['string', 'number'].includes(typeof orderId) && { orderId: String(orderId) }),
    error: { code, detail: httpStatus < 500 ? message : code },
  }
}
