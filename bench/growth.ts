import { readConfig } from '../src/config.ts'
import { sweepOnce } from '../src/daemon/sweep-once.ts'
import { EventBus } from '../src/observe/events.ts'
import { systemClock } from '../src/runtime/clock.ts'
import type { BenchOrder, Contender } from './contender.ts'
import { oursEnv } from './contenders/ours.ts'
import { median } from './figures.ts'
import { CASES } from './growth-cases.ts'
import { fillSettled, fillWaiting } from './growth-fill.ts'
import { makeOrders, withDatabase } from './orders.ts'
import { quantile } from './quantiles.ts'
import type { Context, Measured, Question } from './question.ts'
import { OURS } from './question-tables.ts'
import { Lead } from './run.ts'
import type { Servers } from './servers.ts'
import { dueAtOnce, settleOrders } from './settle-orders.ts'

const WHOLE = { burst: 10_000, bursts: 7, seconds: 2, sweeps: 3 }
const QUICK = { burst: 1_000, bursts: 1, seconds: 1, sweeps: 1 }
const PER_SECOND = 500
/** The other orders fall due evenly over a day that begins this long after they were placed: none falls due while we measure. */
const FIRST_DUE_MS = 12 * 60_000
const DAY_MS = 86_400_000
/** How far the measured sweeps look ahead: about ten minutes of the other orders, as a daemon by default in the middle of a day. */
const SWEEP_AHEAD = '21m'

interface Stage {
  case: string
  /** Other orders in all. */
  waiting: number
  settled: number
}

const STAGES: readonly Stage[] = [
  { case: CASES.tenThousand, waiting: 10_000, settled: 0 },
  { case: CASES.hundredThousand, waiting: 100_000, settled: 0 },
  { case: CASES.million, waiting: 1_000_000, settled: 0 },
  { case: CASES.tenMillionRows, waiting: 1_000_000, settled: 9_000_000 },
]
/** How much of the orders a quick run has. */
const QUICK_SHARE = 0.005
/** Filling in an order and placing it, before it is known how long it takes. */
const GUESS_MS = 0.25

/** How speed changes as orders pile up. */
export function growthQuestion(): Question {
  return {
    name: 'growth',
    title:
      `One daemon, while more and more other orders wait, due over a day. Measured: ${WHOLE.burst.toLocaleString('en')} orders due at once, ` +
      `half of them paid (median of ${WHOLE.bursts}); lateness at ${PER_SECOND}/s; one sweep that looks at ten minutes' worth of the other orders.`,
    columns: [
      { key: 'workerCpu', title: 'CPU of the worker', unit: 'µs/order', better: 'less' },
      { key: 'redisCpu', title: 'of Redis', unit: 'µs/order', better: 'less' },
      { key: 'postgresCpu', title: 'of PostgreSQL', unit: 'µs/order', better: 'less' },
      { key: 'settledPerSecond', title: 'settled', unit: '/s', better: 'more' },
      { key: 'p99', title: 'lateness p99', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'sweepMs', title: 'sweep', unit: 'ms', better: 'less' },
      { key: 'swept', title: 'looked at', unit: 'orders', better: 'less' },
    ],
    rounds: 1,
    seconds: 165,
    async run(context) {
      const ours = context.contenders.find(({ name }) => name === OURS)
      if (!ours) return []
      const measured: Measured[] = []
      try {
        for await (const stage of measure(context, ours)) measured.push(stage)
      } catch (error) {
        context.warn(`ours: ${(error as Error).message}`)
      }
      return measured
    },
  }
}

/** One stage after the other, in one daemon. */
async function* measure(context: Context, ours: Contender): AsyncGenerator<Measured> {
  const { servers, quick, round, progress } = context
  const { burst, bursts, seconds, sweeps } = quick ? QUICK : WHOLE
  const share = quick ? QUICK_SHARE : 1
  await servers.reset()
  const running = await ours.start(servers)
  try {
    let [waiting, settled] = [0, 0]
    const lead = new Lead(GUESS_MS)
    const settle = (makeOrders: (from: number) => BenchOrder[]) =>
      settleOrders({ servers, contender: ours, running, lead, waiting, makeOrders })
    const due = (from: number) => dueAtOnce(from, burst)
    progress('warming up')
    // As in a daemon that has run for a while: its code is compiled, its pool full.
    for (let n = 0; n < 2; n++) await settle(due)
    for (const stage of STAGES) {
      progress(`${stage.case}: filling in`)
      const wanted = { waiting: stage.waiting * share, settled: stage.settled * share }
      await fill({ servers, ours, from: { waiting, settled }, to: wanted })
      waiting = wanted.waiting
      settled = wanted.settled
      progress(`${stage.case}: bursts`)
      const inBursts = []
      for (let n = 0; n < bursts; n++) inBursts.push(await settle(due))
      progress(`${stage.case}: lateness`)
      const { orders } = await settle((from) => steadily(from, seconds))
      const lateness = await readLateness(servers, orders)
      progress(`${stage.case}: sweep`)
      const swept = []
      for (let n = 0; n < sweeps; n++) swept.push(await sweepNow(servers))
      const microsOf = (seconds: number[]) => (middle(seconds) / burst) * 1_000_000
      const figures = {
        settledPerSecond: middle(inBursts.map(({ perSecond }) => perSecond)),
        workerCpu: microsOf(inBursts.map(({ cpu }) => cpu.worker)),
        redisCpu: microsOf(inBursts.map(({ cpu }) => cpu.redis)),
        postgresCpu: microsOf(inBursts.map(({ cpu }) => cpu.postgres)),
        p99: quantile(lateness, 0.99),
        sweepMs: middle(swept.map(({ ms }) => ms)),
        swept: middle(swept.map(({ orders }) => orders)),
      }
      yield { question: 'growth', contender: ours.name, case: stage.case, round, figures }
    }
  } finally {
    await running.stop()
    await servers.reset()
  }
}

/** The median of at least one. */
function middle(values: readonly number[]): number {
  return median(values) ?? Number.NaN
}

async function fill(options: {
  servers: Servers
  ours: Contender
  from: { waiting: number; settled: number }
  to: { waiting: number; settled: number }
}): Promise<void> {
  const { servers, ours, from, to } = options
  if (to.waiting > from.waiting) {
    const range = { from: from.waiting, to: to.waiting }
    const spacing = { firstDueAt: Date.now() + FIRST_DUE_MS, stepMs: DAY_MS / (range.to - range.from) }
    await fillWaiting({ servers, contender: ours, range, spacing })
  }
  // Numbers that no waiting order has.
  if (to.settled > from.settled) await fillSettled(servers, { from: to.waiting, to: to.waiting + to.settled })
}

function steadily(from: number, seconds: number): BenchOrder[] {
  const deadlines = Array.from({ length: PER_SECOND * seconds }, (_, index) => from + (index * 1_000) / PER_SECOND)
  return makeOrders(deadlines, () => false)
}

/** Milliseconds from deadline to cancellation, sorted. */
async function readLateness(servers: Servers, orders: readonly BenchOrder[]): Promise<number[]> {
  const { rows } = await withDatabase(servers, (database) =>
    database.query<{ ms: number }>(
      `SELECT (extract(epoch FROM settled_at - payment_deadline) * 1000)::float8 AS ms FROM orders
       WHERE id = ANY($1) AND status = 'cancelled'`,
      [orders.map(({ orderId }) => orderId)],
    ),
  )
  if (rows.length < orders.length) throw new Error(`${orders.length - rows.length} orders were not cancelled`)
  return rows.map(({ ms }) => ms).sort((a, b) => a - b)
}

/** One sweep by hand, as `order-expiry sweep` does it, without the start of a process. */
async function sweepNow(servers: Servers): Promise<{ ms: number; orders: number }> {
  const config = readConfig({ env: { ...oursEnv(servers), SWEEP_AHEAD }, dotenv: {} })
  const startedAt = performance.now()
  const { overdue, upcoming, error } = await sweepOnce({
    config,
    version: 'bench',
    redisAddress: servers.redisUrl,
    dryRun: false,
    backlog: false,
    events: new EventBus(),
    clock: systemClock,
    signal: new AbortController().signal,
  })
  if (error) throw error
  const ms = performance.now() - startedAt
  return { ms, orders: overdue + upcoming }
}
