import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../helpers/eventually.ts'
import type { Random } from '../../helpers/random.ts'
import type { World } from './world.ts'

/** How Redis is told of an order. */
type Enqueue =
  | 'client' // by the library
  | 'raw' // by plain BullMQ, under another job id
  | 'twice' // by both, so that two jobs ask for the same order
  | 'late' // by the library, a while after its row, so that orders arrive out of their order
  | 'never' // the row is all there is

/** What becomes of an order, as far as the shop is concerned. */
type Fate =
  | 'unpaid'
  | 'paid'
  | 'paid-in-the-last-moment' // within 50 ms of the deadline, on either side
  | 'extended'
  | 'withdrawn'
  | 'withdrawn-in-the-last-moment'

/** One order and what happens to it. Times count from the beginning of the workload. */
interface PlannedOrder {
  placedMs: number
  deadlineMs: number
  enqueue: Enqueue
  enqueuedMs: number
  fate: Fate
  /** When that happens. */
  fateMs: number
  /** How long its transaction takes. */
  takesMs: number
}

export interface WorkloadOptions {
  orders: number
  /** Within how many milliseconds they are placed. */
  overMs: number
  /** How many milliseconds a buyer has to pay, at least and at most. */
  toPayMs: readonly [number, number]
  enqueue?: Partial<Record<Enqueue, number>>
  fate?: Partial<Record<Fate, number>>
}

const ENQUEUE: Record<Enqueue, number> = { client: 6, raw: 2, twice: 1, late: 1, never: 0 }
const FATE: Record<Fate, number> = {
  unpaid: 11,
  paid: 1,
  'paid-in-the-last-moment': 4,
  extended: 2,
  withdrawn: 1,
  'withdrawn-in-the-last-moment': 1,
}

/** What customers and producers are going to do. The same chance gives the same plan. */
export function planWorkload(random: Random, options: WorkloadOptions): PlannedOrder[] {
  const { orders, overMs, toPayMs, enqueue = ENQUEUE, fate: fates = FATE } = options
  return Array.from({ length: orders }, () => {
    const placedMs = random.between(0, overMs)
    const deadlineMs = placedMs + random.between(...toPayMs)
    const how = random.weighted(enqueue as Record<Enqueue, number>)
    const fate = random.weighted(fates as Record<Fate, number>)
    const isLast = fate.endsWith('in-the-last-moment')
    return {
      placedMs,
      deadlineMs,
      enqueue: how,
      enqueuedMs: how === 'late' ? random.between(placedMs, deadlineMs) : placedMs,
      fate,
      fateMs: isLast ? deadlineMs + random.between(-50, 50) : random.between(placedMs, deadlineMs - 100),
      takesMs: random.pick([0, 2, 10, 40]),
    }
  })
}

/** Carries out a plan. Resolves when all of it has happened. What a server that is away refuses is not tried again. */
export async function perform(world: World, plan: readonly PlannedOrder[]): Promise<void> {
  const startedAt = Date.now()
  const until = (ms: number) => sleep(Math.max(0, startedAt + ms - Date.now()))
  await Promise.all(
    plan.map(async (order) => {
      await until(order.placedMs)
      const deadline = startedAt + order.deadlineMs
      const id = await attempt(async () => (await world.shop.place([deadline]))[0])
      if (id === undefined) return
      await Promise.all([enqueue(world, { id, deadline, order, until }), meet(world, { id, deadline, order, until })])
    }),
  )
}

interface Placed {
  id: string
  deadline: number
  order: PlannedOrder
  until: (ms: number) => Promise<void>
}

async function enqueue(world: World, { id, deadline, order, until }: Placed): Promise<void> {
  await until(order.enqueuedMs)
  if (order.enqueue === 'never') return
  const byClient = async (): Promise<unknown> => {
    const answer = await world.client.schedule({ orderId: id, deadline, allowPast: true })
    world.scheduled.add(id)
    return answer
  }
  const byBullMQ = (): Promise<unknown> =>
    world.rawQueue.add(
      'check-payment',
      { orderId: id, deadline },
      { jobId: `raw-${id}`, delay: Math.max(0, deadline - Date.now()) },
    )
  const ways = { client: [byClient], late: [byClient], raw: [byBullMQ], twice: [byClient, byBullMQ] }[order.enqueue]
  const told = await Promise.all(ways.map((way) => attempt(way)))
  if (told.some((answer) => answer !== undefined)) world.known.add(id)
}

async function meet(world: World, { id, deadline, order, until }: Placed): Promise<void> {
  const { shop, client } = world
  if (order.fate === 'unpaid') return
  await until(order.fateMs)
  await attempt(async () => {
    switch (order.fate) {
      case 'paid':
      case 'paid-in-the-last-moment':
        return shop.pay(id, order.takesMs)
      case 'extended': {
        const later = deadline + 1_500
        if (await shop.extend(id, later)) await client.reschedule({ orderId: id, deadline: later })
        return
      }
      default:
        await shop.withdraw(id)
        await client.withdraw(id)
    }
  })
}

/** The result, or undefined if the server that it needs is away. */
async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch {
    return undefined
  }
}

/** Two or three seconds of a small shop. */
export const SOON: WorkloadOptions = { orders: 150, overMs: 3_000, toPayMs: [1_500, 4_000] }
/** Ten seconds of it, with the deadlines of its orders spread over thirteen. */
export const STEADY: WorkloadOptions = { orders: 300, overMs: 10_000, toPayMs: [1_500, 4_000] }

/** The same where the library records the orders: a raw job alone records nothing. Nothing is withdrawn. */
const RECORDED = {
  enqueue: { client: 6, twice: 2, late: 1 },
  fate: { unpaid: 11, paid: 1, 'paid-in-the-last-moment': 5, extended: 3 },
} as const
export const SOON_RECORDED: WorkloadOptions = { ...SOON, ...RECORDED }
export const STEADY_RECORDED: WorkloadOptions = { ...STEADY, ...RECORDED }

/**
 * Lets the shop go on while `fault` happens and is healed.
 *
 * @returns when it was healed: the time that `fault` resolves with, or else when it was over
 */
export async function during(world: World, options: WorkloadOptions, fault: () => Promise<unknown>): Promise<number> {
  const work = perform(world, planWorkload(world.random, options))
  const said = await fault()
  const healedAt = typeof said === 'number' ? said : Date.now()
  await work
  return healedAt
}

/** Waits until workers are well into the orders of a shop that goes on: they have finished this many checks. */
export async function underLoad(world: World, checks = 20): Promise<void> {
  await eventually(`${checks} checks are finished`, async () => (await world.countJobs('completed')) >= checks)
}

/** Waits until every order is due and workers have looked at each, whatever has become of it. */
export async function untilLookedAt(world: World): Promise<void> {
  const lastDeadline = await world.shop.lastDeadline()
  await eventually('every order is looked at', async () => {
    const isDue = Date.now() > lastDeadline
    // A check that is postponed comes again much later than that.
    return isDue && (await world.countJobsDue(Date.now() + 1_000)) === 0 && (await world.countJobs('active')) === 0
  })
}

/** Places unpaid orders of one deadline and tells Redis of all of them. @returns the deadline */
export async function crowd(world: World, options: { orders: number; inMs: number }): Promise<number> {
  return (await placeCrowd(world, options)).deadline
}

/** The same, with the ids of the orders. */
export async function placeCrowd(
  world: World,
  options: { orders: number; inMs: number },
): Promise<{ ids: readonly string[]; deadline: number }> {
  const { client, known, scheduled, shop } = world
  const deadline = Date.now() + options.inMs
  const ids = await shop.place(new Array(options.orders).fill(deadline))
  let untold = ids
  while (untold.length > 0) {
    // In pieces, so that other cases get their turn; again, if Redis was away or the machine too busy to answer in time.
    const piece = untold.slice(0, 1_000).map((orderId) => ({ orderId, deadline, allowPast: true }))
    const told = (await attempt(() => client.scheduleMany(piece))) ?? []
    for (const result of told) {
      if (!('result' in result)) continue
      known.add(result.orderId)
      scheduled.add(result.orderId)
    }
    untold = untold.filter((id) => !known.has(id))
    if (told.length === 0) await sleep(100)
  }
  return { ids, deadline }
}
