import type { OrderExpiryError } from '../errors.ts'
import type { JobBefore } from '../queue/add-if-absent.ts'
import type { Placement } from '../queue/contract.ts'
import { redisErrorCode } from '../redis/reply.ts'
import type { OrderRecords } from '../stores/records.ts'
import type { Checks } from './checks.ts'
import type { Refusal, ScheduleResult } from './results.ts'

/**
 * Afterwards each order has a check at its deadline and, where this library keeps it, a record. If Redis
 * refuses one order, the others are still placed.
 *
 * @param options.isLate nothing more is sent once it says yes, and the promise rejects
 * @param options.explain words an error of Redis, or of the connection, for the shop
 * @returns one result or refusal for each placement, in their order
 */
export async function placeOrders(options: {
  checks: Checks
  orders: Pick<OrderRecords, 'record'> | undefined
  placements: readonly Placement[]
  isLate: () => boolean
  explain: (error: Error) => OrderExpiryError
}): Promise<(ScheduleResult | Refusal)[]> {
  const { checks, orders, placements, isLate, explain } = options
  const records = orders ? await record(orders, placements) : []
  const needed = orders ? placements.map((placement, index) => checkNeeded(placement, records[index])) : placements
  const found = await checks.place(
    needed.filter((check) => check !== undefined),
    { isLate, keepsDecided: orders === undefined }, // a record says itself whether it is decided
  )
  let next = 0
  const results = placements.map((placement, index) => {
    const result = resultOf(placement, { record: records[index], job: needed[index] && found[next++] })
    return result instanceof Error ? { orderId: placement.orderId, error: explain(result) } : result
  })
  if (!results.some(isConflict)) return results
  return Promise.all(results.map((result, index) => recognizeRepeat(result, { checks, ...placements[index] })))
}

type Recorded = Awaited<ReturnType<OrderRecords['record']>>[number]

/** If Redis refuses some of them, each is recorded alone, to find out which. */
async function record(
  orders: Pick<OrderRecords, 'record'>,
  placements: readonly Placement[],
): Promise<(Recorded | Error)[]> {
  const refused = (error: Error) => {
    if (redisErrorCode(error)) return error
    throw error
  }
  const together = await orders.record(placements).catch(refused)
  if (!(together instanceof Error)) return together
  if (placements.length === 1) return [together]
  return (await Promise.all(placements.map((placement) => record(orders, [placement])))).flat()
}

/** The check that an order needs, given its record; undefined if none: it is decided, or its record was refused. */
function checkNeeded(placement: Placement, known: Recorded | Error | undefined): Placement | undefined {
  if (known instanceof Error || known?.result === 'settled') return undefined
  // An order on record for another deadline needs a check then: an earlier call may have failed half-way.
  return known?.result === 'conflict' ? { ...placement, deadline: known.deadline } : placement
}

function resultOf(
  { orderId, deadline }: Placement,
  { record, job }: { record: Recorded | Error | undefined; job: JobBefore | Error | undefined },
): ScheduleResult | Error {
  if (record instanceof Error) return record
  const isSettled = record?.result === 'settled'
  const before = isSettled || record?.result === 'conflict' ? record : job
  if (before instanceof Error) return before
  if (!before) return { orderId, result: 'scheduled', deadline: new Date(deadline) }
  const result = before.deadline === deadline ? 'unchanged' : 'conflict'
  return { orderId, result, deadline: new Date(before.deadline), ...(isSettled && { status: record.status }) }
}

function isConflict(result: ScheduleResult | Refusal): result is ScheduleResult {
  return 'result' in result && result.result === 'conflict'
}

/**
 * `unchanged` in place of a conflict caused by the same call made again: the time-out it asks for began with the first
 * one, so it now asks for another deadline.
 */
async function recognizeRepeat(
  result: ScheduleResult | Refusal,
  { checks, spanMs }: { checks: Checks; spanMs?: number | undefined },
): Promise<ScheduleResult | Refusal> {
  if (!isConflict(result) || spanMs === undefined) return result
  const check = await checks.find(result.orderId)
  if (!check || check.deadline?.getTime() !== check.scheduledAt.getTime() + spanMs) return result
  return { ...result, result: 'unchanged' }
}
