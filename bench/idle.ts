import type { Contender } from './contender.ts'
import { watchCpu } from './cpu-use.ts'
import { insertOrders, makeOrders } from './orders.ts'
import type { Context, Measured, Question } from './question.ts'
import { eachContender, sleep } from './run.ts'

/** The others wait in the same ways. */
const ASKED = ['ours', 'bullmq']
const WINDOW_MS = 15_000
const QUICK_WINDOW_MS = 3_000
/** Until the work that follows a start is over; V8 tidies up its memory last. */
const REST_MS = 20_000
const QUICK_REST_MS = 500
const DUE_IN_MS = 3_600_000

/** What it costs to wait. */
export function idleQuestion(): Question {
  return {
    name: 'idle',
    title: `CPU over ${WINDOW_MS / 1_000} s, in percent of a core, while one order is due in an hour, measured from ${REST_MS / 1_000} s after the start.`,
    columns: [
      { key: 'workerPercent', title: 'worker', unit: '%', better: 'less', decimals: 2 },
      { key: 'redisPercent', title: 'Redis', unit: '%', better: 'less', decimals: 2 },
      { key: 'postgresPercent', title: 'PostgreSQL', unit: '%', better: 'less', decimals: 2 },
    ],
    rounds: 1,
    seconds: 75,
    run(context) {
      const contenders = context.contenders.filter(({ name }) => ASKED.includes(name))
      return eachContender({ ...context, contenders }, (contender) => measure(context, contender))
    },
  }
}

async function measure(context: Context, contender: Contender): Promise<Measured[]> {
  const { servers, quick, round } = context
  await servers.reset()
  const running = await contender.start(servers)
  try {
    const orders = makeOrders([Date.now() + DUE_IN_MS], () => false)
    await insertOrders(servers, orders)
    await contender.place(servers, orders)
    await sleep(quick ? QUICK_REST_MS : REST_MS)
    const startedAt = performance.now()
    const used = watchCpu(servers, running)
    await sleep(quick ? QUICK_WINDOW_MS : WINDOW_MS)
    const { worker, redis, postgres } = used()
    const tookMs = performance.now() - startedAt
    if ((await running.unfinished()) !== orders.length) throw new Error('expected one waiting order to the end')
    const percent = (seconds: number) => (seconds / (tookMs / 1_000)) * 100
    const figures = {
      workerPercent: percent(worker),
      redisPercent: percent(redis),
      postgresPercent: percent(postgres),
    }
    return [{ question: 'idle', contender: contender.name, case: '', round, figures }]
  } finally {
    await running.stop()
  }
}
