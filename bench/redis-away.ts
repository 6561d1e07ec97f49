import { startRedis } from '../test/helpers/processes.ts'
import { Random } from '../test/helpers/random.ts'
import type { BenchOrder, Contender, Running } from './contender.ts'
import { startOurs } from './contenders/ours.ts'
import { watchCpu } from './cpu-use.ts'
import { killOnExit } from './kill-on-exit.ts'
import { insertOrders, makeOrders, readSettled } from './orders.ts'
import { evenQuantiles, quantile } from './quantiles.ts'
import type { Context, Measured, Question } from './question.ts'
import { eachContender, sleep } from './run.ts'
import type { Servers } from './servers.ts'

const PER_SECOND = 1_000
const WINDOW_MS = 10_000
const QUICK_WINDOW_MS = 1_000
/** From the end of Redis to the first deadline: none of the orders is one that a worker has begun. */
const AWAY_FOR_MS = 2_000
/** An order that is not cancelled this long after the last deadline is missing. */
const GIVE_UP_MS = 20_000
const LOOK_EVERY_MS = 100
const SAMPLES = 1_000
const ASKED = 'ours'

/** The others have nothing but Redis, or do without it. */
export function redisAwayQuestion(): Question {
  return {
    name: 'redis-away',
    title: `Redis has ended, and ${PER_SECOND.toLocaleString('en')} unpaid orders a second fall due for ${WINDOW_MS / 1_000} s: how long after its deadline is each cancelled, and what does that cost?`,
    columns: [
      { key: 'p50', title: 'p50', unit: 'ms', better: 'less' },
      { key: 'p99', title: 'p99', unit: 'ms', better: 'less' },
      { key: 'max', title: 'max', unit: 'ms', better: 'less' },
      { key: 'missing', title: 'missing', unit: 'orders', better: 'less' },
      { key: 'workerPercent', title: 'CPU of the worker', unit: '% of a core', better: 'less', decimals: 1 },
      { key: 'postgresPercent', title: 'of PostgreSQL', unit: '% of a core', better: 'less', decimals: 1 },
    ],
    seconds: 25,
    run(context) {
      const contenders = context.contenders.filter(({ name }) => name === ASKED)
      return eachContender({ ...context, contenders }, (contender) => measure(context, contender))
    },
  }
}

/** In a world with a Redis of its own, which ends before the first deadline. */
async function measure(context: Context, contender: Contender): Promise<Measured[]> {
  await context.servers.reset()
  const redis = await startRedis()
  const letLive = killOnExit(redis.pid)
  const servers = { ...context.servers, redisUrl: redis.url, redisPid: redis.pid }
  try {
    const running = await startOurs(servers)
    try {
      return [await measureWithout({ ...context, servers }, { contender, running, stopRedis: () => redis.stop() })]
    } finally {
      await running.stop()
    }
  } finally {
    await redis.stop()
    letLive()
  }
}

async function measureWithout(
  { servers, quick, round }: Context,
  { contender, running, stopRedis }: { contender: Contender; running: Running; stopRedis: () => Promise<void> },
): Promise<Measured> {
  const windowMs = quick ? QUICK_WINDOW_MS : WINDOW_MS
  const random = new Random(round)
  const offsets = Array.from({ length: (PER_SECOND * windowMs) / 1_000 }, () => Math.floor(random.next() * windowMs))
  await stopRedis()
  const from = Date.now() + AWAY_FOR_MS
  const orders = makeOrders(
    offsets.sort((a, b) => a - b).map((offset) => from + offset),
    () => false,
  )
  await insertOrders(servers, orders)
  await sleep(from - Date.now())
  const used = watchCpu({ ...servers, redisPid: servers.postgresPid }, running)
  await sleep(windowMs)
  const { worker, postgres } = used()
  const cancelledAt = await untilCancelled(servers, orders, from + windowMs + GIVE_UP_MS)
  const { figures, samples } = describeLateness(orders, cancelledAt)
  const percent = (seconds: number) => (seconds / (windowMs / 1_000)) * 100
  return {
    question: 'redis-away',
    contender: contender.name,
    case: '',
    round,
    figures: { ...figures, workerPercent: percent(worker), postgresPercent: percent(postgres) },
    samples,
  }
}

async function untilCancelled(
  servers: Servers,
  orders: readonly BenchOrder[],
  until: number,
): Promise<ReadonlyMap<string, number>> {
  for (;;) {
    const { cancelledAt, harmed } = await readSettled(servers, orders)
    if (harmed.size > 0) throw new Error(`${harmed.size} orders were harmed, such as cancelled too early`)
    if (cancelledAt.size === orders.length || Date.now() > until) return cancelledAt
    await sleep(LOOK_EVERY_MS)
  }
}

/** A missing order is as late as it could be seen. */
function describeLateness(orders: readonly BenchOrder[], cancelledAt: ReadonlyMap<string, number>) {
  const all = orders
    .map(({ orderId, deadline }) => (cancelledAt.get(orderId) ?? deadline + GIVE_UP_MS) - deadline)
    .sort((a, b) => a - b)
  return {
    figures: {
      p50: quantile(all, 0.5),
      p99: quantile(all, 0.99),
      max: all.at(-1) ?? Number.NaN,
      missing: orders.length - cancelledAt.size,
    },
    samples: evenQuantiles(all, SAMPLES),
  }
}
