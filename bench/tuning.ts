import { ours, startOurs } from './contenders/ours.ts'
import type { Context, Measured, Question } from './question.ts'
import { Lead } from './run.ts'
import { dueAtOnce, settleOrders } from './settle-orders.ts'

const ORDERS = 20_000
const QUICK_ORDERS = 1_000
/** Before them, to warm the daemon up. */
const FIRST = 5_000
const CONCURRENCIES = [100, 250, 500, 1_000, 2_000]
const BATCH_SIZES = [50, 100, 150, 250, 500]
/** Filling in an order and placing it, before it is known how long it takes. */
const GUESS_MS = 0.25

interface Settings {
  concurrency: number
  batchSize: number
}

/** What the settings of our daemon are worth. */
export function tuningQuestion(): Question {
  return {
    name: 'tuning',
    title: `${ORDERS.toLocaleString('en')} orders due at once, half of them paid: how many our daemon settles per second with each pair of settings.`,
    columns: [{ key: 'settledPerSecond', title: 'settled per second', unit: '', better: 'more' }],
    onlyIfNamed: true,
    seconds: 180,
    async run(context) {
      const measured: Measured[] = []
      for (const settings of grid()) measured.push(await measure(context, settings))
      return measured
    },
  }
}

/** A batch larger than the checks in flight is never full. */
function grid(): Settings[] {
  return CONCURRENCIES.flatMap((concurrency) =>
    BATCH_SIZES.filter((batchSize) => batchSize <= concurrency).map((batchSize) => ({ concurrency, batchSize })),
  )
}

async function measure(context: Context, { concurrency, batchSize }: Settings): Promise<Measured> {
  const { servers, quick, round, progress } = context
  progress(`CONCURRENCY=${concurrency} BATCH_SIZE=${batchSize}`)
  await servers.reset()
  const running = await startOurs(servers, { settings: { CONCURRENCY: `${concurrency}`, BATCH_SIZE: `${batchSize}` } })
  try {
    const lead = new Lead(GUESS_MS)
    const burst = (count: number) =>
      settleOrders({
        servers,
        contender: ours,
        running,
        lead,
        waiting: 0,
        makeOrders: (from) => dueAtOnce(from, count),
      })
    await burst(quick ? QUICK_ORDERS : FIRST)
    const { perSecond } = await burst(quick ? QUICK_ORDERS : ORDERS)
    return {
      question: 'tuning',
      contender: `CONCURRENCY ${concurrency.toLocaleString('en')}`,
      case: `BATCH_SIZE ${batchSize.toLocaleString('en')}`,
      round,
      figures: { settledPerSecond: perSecond },
    }
  } finally {
    await running.stop()
  }
}
