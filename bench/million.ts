import { measureBurst } from './burst.ts'
import type { Contender } from './contender.ts'
import type { Context, Measured, Question } from './question.ts'
import { OURS } from './question-tables.ts'
import { residentBytes } from './resident.ts'
import { eachContender, Lead } from './run.ts'
import { dueAtOnce } from './settle-orders.ts'
import { watchSlowScripts } from './slow-scripts.ts'

const ORDERS = 1_000_000
const QUICK_ORDERS = 5_000
const GIVE_UP_MS = 240_000
/** Filling in an order and placing it. */
const GUESS_MS = 0.08
const QUICK_GUESS_MS = 0.25

/** The worst day: whatever grows with the number of orders due shows here. */
export function millionQuestion(): Question {
  return {
    name: 'million',
    title: `${ORDERS.toLocaleString('en')} orders fall due at the same instant, half of them paid: how long until the last is settled, how much memory does the worker take at most, and for how long does the slowest script hold Redis?`,
    columns: [
      { key: 'cpu', title: 'CPU in all', unit: 'µs/order', better: 'less' },
      { key: 'settledPerSecond', title: 'settled', unit: '/s', better: 'more' },
      { key: 'secondsUntilLast', title: 'until the last', unit: 's', better: 'less', decimals: 1 },
      { key: 'peakMb', title: 'memory', unit: 'MB', better: 'less' },
      { key: 'slowestScriptMs', title: 'slowest script', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'wrong', title: 'wrong', unit: 'orders', better: 'less' },
    ],
    rounds: 1,
    onlyIfNamed: true,
    seconds: 330,
    run(context) {
      // The release before would not end in time.
      const contenders = context.contenders.filter(({ name }) => name === OURS)
      return eachContender({ ...context, contenders }, (contender) => measure(context, contender))
    },
  }
}

async function measure(context: Context, contender: Contender): Promise<Measured[]> {
  const { servers, quick, round } = context
  const figures = await measureBurst({
    contender,
    servers,
    makeOrders: (from) => dueAtOnce(from, quick ? QUICK_ORDERS : ORDERS),
    lead: new Lead(quick ? QUICK_GUESS_MS : GUESS_MS),
    giveUpMs: GIVE_UP_MS,
    async watch({ pids: [pid = 0] }) {
      const slowest = await watchSlowScripts(servers)
      return async () => ({ peakMb: residentBytes(pid).peak / 1e6, slowestScriptMs: await slowest() })
    },
  })
  return [{ question: 'million', contender: contender.name, case: '', round, figures }]
}
