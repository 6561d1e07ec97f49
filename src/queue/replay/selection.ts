import { ERROR_CODES, type ErrorCode } from '../../errors.ts'
import { parseOrderId } from '../../order/order-id.ts'
import { readJson } from '../../runtime/json.ts'
import { jobIdOf } from '../contract.ts'
import { orderIdOf } from '../foreign-jobs.ts'
import type { FailedJob } from './failed-set.ts'

/** `OTHER`: the reason was not written by our worker. */
export type FailureCode = ErrorCode | 'OTHER'

/** Which of the checks that were given up: those of certain orders, with certain errors, or all that can succeed. */
export type Selection = { orderIds: readonly (string | number)[] } | { codes: readonly FailureCode[] } | 'all'

/** Bad data stays bad until somebody edits the job, so these are replayed only when asked for by order or by code. */
export const NEVER_SUCCEED: readonly FailureCode[] = ['INVALID_JOB', 'UNKNOWN_JOB']

/** What became of the checks of an order. `missing`: none of them has been given up. */
export type OrderResult = 'replayed' | 'found' | 'gone' | 'missing'

export interface Selector {
  choose(job: FailedJob, code: FailureCode): 'selected' | 'left-out' | 'other'
  /** Of a selection by order: remembers what became of a selected job. */
  note?(job: FailedJob, became: OrderResult): void
  orders?: ReadonlyMap<string, OrderResult>
}

/** @throws {OrderExpiryError} INVALID_ORDER_ID */
export function selectorOf(selection: Selection): Selector {
  if (selection === 'all') return { choose: (_, code) => (NEVER_SUCCEED.includes(code) ? 'left-out' : 'selected') }
  if ('codes' in selection) return { choose: (_, code) => (selection.codes.includes(code) ? 'selected' : 'other') }
  return selectOrders(selection.orderIds.map((orderId) => parseOrderId(orderId)))
}

/** An order can have several checks: ours, whose job id names it even if the data were lost, and those of other producers. */
function selectOrders(orderIds: readonly string[]): Selector {
  const orders = new Map<string, OrderResult>(orderIds.map((orderId) => [orderId, 'missing']))
  const byJobId = new Map(orderIds.map((orderId) => [jobIdOf(orderId), orderId]))
  const ordersOf = (job: FailedJob) =>
    [byJobId.get(job.jobId), orderIdOf(readJson(job.data))].filter(
      (id): id is string => id !== undefined && orders.has(id),
    )
  return {
    orders,
    choose: (job) => (ordersOf(job).length > 0 ? 'selected' : 'other'),
    note(job, became) {
      for (const orderId of ordersOf(job)) if (orders.get(orderId) !== 'replayed') orders.set(orderId, became)
    },
  }
}

/** The code that our worker's reasons begin with. */
export function codeOf(failedReason: string): FailureCode {
  return ERROR_CODES.find((code) => failedReason.startsWith(`${code}: `)) ?? 'OTHER'
}
