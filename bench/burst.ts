import type { BenchOrder, Contender, Running } from './contender.ts'
import { watchCpu } from './cpu-use.ts'
import { makeOrders, readSettled, type Settled } from './orders.ts'
import type { Column, Context, Measured, Question } from './question.ts'
import { eachContender, Lead, untilFinished, withOrdersDue } from './run.ts'
import type { Servers } from './servers.ts'

const ORDERS = 50_000
const QUICK_ORDERS = 2_000
const WITHIN_MS = 1_000
/** A contender that has not finished this long after the last deadline is given up. */
const GIVE_UP_MS = 40_000
const QUICK_GIVE_UP_MS = 15_000
/** Filling in an order and placing it, before it is known how long a contender takes. */
const GUESS_MS = 0.12

/** CPU first: a busy machine disturbs it least. */
const COLUMNS: Column[] = [
  { key: 'cpu', title: 'CPU in all', unit: 'µs/order', better: 'less' },
  { key: 'workerCpu', title: 'of the worker', unit: 'µs/order', better: 'less' },
  { key: 'redisCpu', title: 'of Redis', unit: 'µs/order', better: 'less' },
  { key: 'postgresCpu', title: 'of PostgreSQL', unit: 'µs/order', better: 'less' },
  { key: 'settledPerSecond', title: 'settled', unit: '/s', better: 'more' },
  { key: 'secondsUntilLast', title: 'until the last', unit: 's', better: 'less', decimals: 2 },
  { key: 'cancelled', title: 'cancelled', unit: 'orders', better: 'more' },
  { key: 'wrong', title: 'wrong', unit: 'orders', better: 'less' },
]

/** Many orders due at once. */
export function burstQuestion(): Question {
  const lead = new Lead(GUESS_MS)
  return {
    name: 'burst',
    title: `${ORDERS.toLocaleString('en')} orders fall due in the same second, half of them paid, and the worker is idle: how fast are they settled?`,
    columns: COLUMNS,
    seconds: 130,
    run: (context) => eachContender(context, (contender) => measure(context, contender, lead)),
  }
}

async function measure(context: Context, contender: Contender, lead: Lead): Promise<Measured[]> {
  const { servers, quick, round } = context
  const figures = await measureBurst({
    contender,
    servers,
    makeOrders: (from) => burstOrders(from, quick ? QUICK_ORDERS : ORDERS),
    lead,
    giveUpMs: quick ? QUICK_GIVE_UP_MS : GIVE_UP_MS,
  })
  return [{ question: 'burst', contender: contender.name, case: '', round, figures }]
}

/** One burst on empty servers. @returns the figures of the question, and what was watched */
export async function measureBurst(options: {
  contender: Contender
  servers: Servers
  /** As many orders each time, none due before the given instant, the last one last. */
  makeOrders: (from: number) => BenchOrder[]
  lead: Lead
  /** After the last deadline. */
  giveUpMs: number
  /** Called before the first order is due; what it returns, once all are settled. */
  watch?: (running: Running) => Promise<() => Promise<Record<string, number>>>
}): Promise<Record<string, number>> {
  const { contender, servers, makeOrders, lead, giveUpMs, watch } = options
  return withOrdersDue({
    contender,
    servers,
    makeOrders,
    lead,
    async measure({ orders, running }) {
      const [first, last] = [orders[0], orders.at(-1)].map((order) => order?.deadline ?? 0) as [number, number]
      const watched = await watch?.(running)
      const used = watchCpu(servers, running)
      const { at, unfinished } = await untilFinished({ running, from: last, until: last + giveUpMs })
      const { worker, redis, postgres } = used()
      const settled = orders.length - unfinished
      const microsOf = (seconds: number) => (seconds * 1_000_000) / Math.max(1, settled)
      const figures: Record<string, number> = {
        cpu: microsOf(worker + redis + postgres),
        workerCpu: microsOf(worker),
        redisCpu: microsOf(redis),
        postgresCpu: microsOf(postgres),
        settledPerSecond: (settled / (at - first)) * 1_000,
        secondsUntilLast: (at - last) / 1_000,
        ...(await watched?.()),
      }
      if (contender.cancels) Object.assign(figures, judge(orders, await readSettled(servers, orders)))
      return figures
    },
  })
}

/** Evenly over a second, every second one paid. */
export function burstOrders(from: number, count: number): BenchOrder[] {
  const deadlines = Array.from({ length: count }, (_, index) => from + Math.floor((index * WITHIN_MS) / count))
  return makeOrders(deadlines, (index) => index % 2 === 1)
}

/** `wrong`: paid orders that were cancelled, unpaid ones that were not, or too early. */
function judge(orders: readonly BenchOrder[], { cancelledAt, harmed }: Settled): { cancelled: number; wrong: number } {
  const wrong = orders.filter(({ orderId, paid }) => harmed.has(orderId) || (!paid && !cancelledAt.has(orderId)))
  return { cancelled: cancelledAt.size, wrong: wrong.length }
}
