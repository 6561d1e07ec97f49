import { Random } from '../test/helpers/random.ts'
import type { BenchOrder, Contender } from './contender.ts'
import { makeOrders, readSettled } from './orders.ts'
import { evenQuantiles, quantile } from './quantiles.ts'
import type { Context, Measured, Question } from './question.ts'
import { eachContender, Lead, untilFinished, withOrdersDue } from './run.ts'

/** One rate after the other, with a rest in between. */
const PHASES = [
  { perSecond: 100, ms: 3_000 },
  { perSecond: 1_000, ms: 2_000 },
  { perSecond: 4_000, ms: 2_000 },
  { perSecond: 10_000, ms: 2_000 },
]
const QUICK_MS = 1_000
const QUICK_ORDERS = 1_000
const REST_MS = 700
const QUICK_REST_MS = 200
/** An order that is not cancelled this long after the last deadline is missing. */
const GIVE_UP_MS = 5_000
const SAMPLES = 1_000
/** Filling in an order and placing it, before it is known how long a contender takes. */
const GUESS_MS = 0.25

interface Phase {
  name: string
  /** After the first instant. */
  deadlines: number[]
}

/** Deadlines at random moments. */
export function latenessQuestion(): Question {
  const lead = new Lead(GUESS_MS)
  return {
    name: 'lateness',
    title:
      'Unpaid orders fall due at random moments, at the rate shown, and the worker has nothing else to do: how long after its deadline is each cancelled?',
    columns: [
      { key: 'p50', title: 'p50', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'p99', title: 'p99', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'max', title: 'max', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'missing', title: 'missing', unit: 'orders', better: 'less' },
    ],
    seconds: 150,
    run: (context) => {
      const contenders = context.contenders.filter(({ cancels }) => cancels)
      return eachContender({ ...context, contenders }, (contender) => measure(context, contender, lead))
    },
  }
}

async function measure(context: Context, contender: Contender, lead: Lead): Promise<Measured[]> {
  const { servers, quick, round } = context
  const phases = planPhases({ seed: round, quick })
  const offsets = phases.flatMap(({ deadlines }) => deadlines)
  return withOrdersDue({
    contender,
    servers,
    makeOrders: (from) =>
      makeOrders(
        offsets.map((offset) => from + offset),
        () => false,
      ),
    lead,
    async measure({ orders, running }) {
      const last = orders.at(-1)?.deadline ?? 0
      await untilFinished({ running, from: last, until: last + GIVE_UP_MS })
      const { cancelledAt, harmed } = await readSettled(servers, orders)
      if (harmed.size > 0) throw new Error(`${harmed.size} orders were harmed, such as cancelled too early`)
      let start = 0
      return phases.map(({ name, deadlines }) => {
        const { figures, samples } = describeLateness(orders.slice(start, start + deadlines.length), cancelledAt)
        start += deadlines.length
        return { question: 'lateness', contender: contender.name, case: name, round, figures, samples }
      })
    },
  })
}

/** The same deadlines for all contenders in a round. */
function planPhases(options: { seed: number; quick: boolean }): Phase[] {
  const random = new Random(options.seed)
  let from = 0
  return PHASES.map(({ perSecond, ms }) => {
    const window = options.quick ? Math.min(QUICK_MS, (QUICK_ORDERS * 1_000) / perSecond) : ms
    const count = (perSecond * window) / 1_000
    const deadlines = Array.from({ length: count }, () => from + Math.floor(random.next() * window)).sort(
      (a, b) => a - b,
    )
    from += window + (options.quick ? QUICK_REST_MS : REST_MS)
    return { name: `${perSecond.toLocaleString('en')}/s`, deadlines }
  })
}

/** How late each of the orders was cancelled, in milliseconds; those that were not are missing. */
function describeLateness(
  orders: readonly BenchOrder[],
  cancelledAt: ReadonlyMap<string, number>,
): { figures: Record<string, number>; samples: number[] } {
  const sorted = orders
    .flatMap(({ orderId, deadline }) => {
      const at = cancelledAt.get(orderId)
      return at === undefined ? [] : [at - deadline]
    })
    .sort((a, b) => a - b)
  const missing = orders.length - sorted.length
  // A missing order is at least this late, and at least as late as any other.
  const all = [...sorted, ...new Array<number>(missing).fill(Math.max(GIVE_UP_MS, sorted.at(-1) ?? 0))]
  return {
    figures: { p50: quantile(all, 0.5), p99: quantile(all, 0.99), max: all.at(-1) ?? Number.NaN, missing },
    samples: evenQuantiles(sorted, SAMPLES),
  }
}
