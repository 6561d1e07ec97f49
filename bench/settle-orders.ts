import type { BenchOrder, Contender, Running } from './contender.ts'
import { type CpuUse, watchCpu } from './cpu-use.ts'
import { insertOrders, makeOrders } from './orders.ts'
import { type Lead, untilFinished } from './run.ts'
import type { Servers } from './servers.ts'

const GIVE_UP_MS = 30_000
const TRIES = 3

/**
 * Places orders ahead of their deadlines with a contender that runs already, and waits until all of them are settled.
 *
 * @returns the orders, how many a second were settled from the first deadline to the last of them, and what it took
 */
export async function settleOrders(options: {
  servers: Servers
  contender: Contender
  running: Running
  lead: Lead
  /** Orders that are not due yet, and stay. */
  waiting: number
  /** As many orders each time, none due before the given instant. */
  makeOrders: (from: number) => BenchOrder[]
}): Promise<{ orders: BenchOrder[]; perSecond: number; cpu: CpuUse }> {
  const { servers, contender, running, lead, waiting } = options
  const count = options.makeOrders(0).length
  const others: Running = { ...running, unfinished: async () => (await running.unfinished()) - waiting }
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const startedAt = Date.now()
    const orders = options.makeOrders(startedAt + lead.msFor(contender, count))
    const deadlines = orders.map(({ deadline }) => deadline)
    const [first, last] = [Math.min(...deadlines), Math.max(...deadlines)]
    await insertOrders(servers, orders)
    await contender.place(servers, orders)
    lead.learn(contender, count, Date.now() - startedAt)
    const isInTime = Date.now() <= first
    const used = watchCpu(servers, running)
    const { at, unfinished } = await untilFinished({ running: others, from: last, until: last + GIVE_UP_MS })
    if (unfinished > 0) throw new Error(`${unfinished} orders were not settled`)
    if (isInTime) return { orders, perSecond: (count / (at - first)) * 1_000, cpu: used() }
  }
  throw new Error(`${count} orders could not be placed before they were due`)
}

/** All due at the same instant, every second one paid. */
export function dueAtOnce(from: number, count: number): BenchOrder[] {
  return makeOrders(new Array<number>(count).fill(from), (index) => index % 2 === 1)
}
