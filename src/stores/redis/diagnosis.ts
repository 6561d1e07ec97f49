import { type Finding, ok } from '../../doctor/finding.ts'
import { overdueFinding } from '../../doctor/overdue-finding.ts'
import { count } from '../../runtime/human-numbers.ts'
import type { RedisOrders } from './orders.ts'

/** Looks at the orders in Redis, and changes nothing. */
export async function diagnoseRedisOrders(orders: RedisOrders): Promise<Finding[]> {
  const [unpaid, now] = await Promise.all([orders.countUnpaid(), orders.now()])
  const [oldest] = await orders.unpaidDueBefore(now, undefined, 1)
  return [
    ok('store-unpaid', `${count(unpaid, 'unpaid order')} recorded`),
    overdueFinding(oldest && now - oldest.deadline),
  ]
}
