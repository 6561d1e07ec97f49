import { OrderExpiryError } from '../errors.ts'
import { RedisOrders } from './redis/orders.ts'

export type { OrderEvent } from './redis/events.ts'
export type { PayResult } from './redis/orders.ts'

/** Where the library records orders, by its option `orders`. Kept apart from `kinds.ts` so that shops load less. */
export const RECORDS = { redis: RedisOrders } as const

export type RecordsName = keyof typeof RECORDS
export type OrderRecords = InstanceType<(typeof RECORDS)[RecordsName]>

/** The store of a shop that has no orders table. */
export const DEFAULT_RECORDS: RecordsName = 'redis'

/** @param expected what the caller would have to have instead */
export function notRecordedHere(expected: string): OrderExpiryError {
  const instead = 'with your own orders table, mark the row paid there'
  return new OrderExpiryError('NOT_RECORDED_HERE', `pay: expected ${expected}; ${instead}`)
}
