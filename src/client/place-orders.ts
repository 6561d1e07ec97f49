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
  orders: Records | undefined
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
  return placements.map((placement, index) => {
    const result = resultOf(placement, { record: records[index], job: needed[index] && found[next++] })
    return result instanceof Error ? { orderId: placement.orderId, error: explain(result) } : result
  })
}

type Records = Pick<OrderRecords, 'record'>
type Recorded = Awaited<ReturnType<OrderRecords['record']>>[number]

/** If Redis refuses some of them, each is recorded alone, to find out which. */
async function record(orders: Records, placements: readonly Placement[]): Promise<(Recorded | Error)[]> {
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

/** `unchanged` also for the same call made again with a time-out, which began with the first one. */
function resultOf(
  { orderId, deadline, spanMs = Number.NaN }: Placement,
  { record, job }: { record: Recorded | Error | undefined; job: JobBefore | Error | undefined },
): ScheduleResult | Error {
  if (record instanceof Error) return record
  if (job instanceof Error) return job
  const isSettled = record?.result === 'settled'
  const known = record ?? job // a record decides, whatever the deadline of its check
  if (!known || !(job || isSettled || record?.result === 'conflict')) {
    return { orderId, result: 'scheduled', deadline: new Date(deadline) }
  }
  const placedAt = known.placedAt ?? job?.placedAt ?? Number.NaN
  const isSame = known.deadline === deadline || known.deadline === placedAt + spanMs
  return {
    orderId,
    result: isSame ? 'unchanged' : 'conflict',
    deadline: new Date(known.deadline),
    ...(isSettled && { status: record.status }),
  }
}
