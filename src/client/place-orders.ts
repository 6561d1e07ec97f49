import type { OrderExpiryError } from '../errors.ts'
import type { OpenQueue } from '../queue/check-queue.ts'
import type { Placement } from '../queue/contract.ts'
import { addJobs } from '../queue/jobs.ts'
import { redisErrorCode } from '../redis/reply.ts'
import type { RedisOrders } from '../stores/redis/orders.ts'
import type { ScheduleResult } from './results.ts'

/**
 * Afterwards each order has a check at its deadline and, where this library keeps it, a record. What Redis refuses of one
 * does not hold up the others.
 *
 * @param options.orders the records, if this library keeps them
 * @param options.isLate is asked again and again; nothing more is sent once it says yes, and the promise rejects
 * @param options.explain says in our own words what Redis, or the connection, says
 * @returns one result or error for each placement, in their order
 */
export async function addOrders(options: {
  queues: OpenQueue
  orders: RedisOrders | undefined
  placements: readonly Placement[]
  isLate: () => boolean
  explain: (error: Error) => OrderExpiryError
}): Promise<(ScheduleResult | OrderExpiryError)[]> {
  const { queues, orders, placements, isLate, explain } = options
  const records = orders ? await record(orders, placements) : []
  // An order that is recorded for another deadline needs a check then: an earlier call may have failed half-way.
  const wanted = placements.map((placement, index) => {
    const known = records[index]
    return isConflict(known) ? { ...placement, deadline: known.deadline } : placement
  })
  const found = await addJobs(
    queues,
    wanted.filter((_, index) => !(records[index] instanceof Error) && !isSettled(records[index])),
    { isLate, keepsDecided: orders === undefined }, // a record says itself whether it is decided
  )
  return wanted.map((placement, index) => {
    const { orderId, deadline } = placement
    const known = records[index]
    if (known instanceof Error) return explain(known)
    if (isConflict(known)) return { orderId, result: 'conflict', deadline: new Date(deadline) }
    if (isSettled(known)) {
      const result = known.deadline === deadline ? 'unchanged' : 'conflict'
      return { orderId, result, deadline: new Date(known.deadline), status: known.status }
    }
    const before = found.get(placement)
    if (before instanceof Error) return explain(before)
    if (!before) return { orderId, result: 'scheduled', deadline: new Date(deadline) }
    const result = before.deadline === deadline ? 'unchanged' : 'conflict'
    return { orderId, result, deadline: new Date(before.deadline) }
  })
}

type Recorded = Awaited<ReturnType<RedisOrders['record']>>[number]

function isConflict(known: Recorded | Error | undefined): known is Recorded & { result: 'conflict' } {
  return known !== undefined && !(known instanceof Error) && known.result === 'conflict'
}

/** It is decided: nothing that is scheduled changes it, and no check is needed. */
function isSettled(known: Recorded | Error | undefined): known is Recorded & { result: 'settled' } {
  return known !== undefined && !(known instanceof Error) && known.result === 'settled'
}

/** Where Redis refuses some of them, each is recorded alone, so that it shows which. */
async function record(orders: RedisOrders, placements: readonly Placement[]): Promise<(Recorded | Error)[]> {
  const refused = (error: Error) => {
    if (redisErrorCode(error)) return error
    throw error
  }
  const together = await orders.record(placements).catch(refused)
  if (!(together instanceof Error)) return together
  if (placements.length === 1) return [together]
  return (await Promise.all(placements.map((placement) => record(orders, [placement])))).flat()
}
