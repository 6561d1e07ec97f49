import { CLOCKS_DIFFER_MS } from '../../observe/clock-offsets.ts'
import type { Counts } from '../../observe/minutes.ts'
import type { Forecast, Vitals } from '../../observe/vitals.ts'
import type { SetAside } from '../../order/store.ts'
import { clockDifference, number } from '../../runtime/human-numbers.ts'
import { withTimeout } from '../../runtime/timeout.ts'

/** What a person on call wants to know. A part that cannot be read is undefined, and the page says so. */
export interface Overview {
  /** Epoch milliseconds. */
  at: number
  /** Checks in the queue that are not due yet, and those that are. */
  waiting: number | undefined
  due: number | undefined
  /** In the failed set. */
  failed: number | undefined
  overdue: { orders: number; oldestSeconds: number } | undefined
  /** The last minutes, the oldest first. */
  history: readonly Counts[] | undefined
  forecast: Forecast | undefined
  states: readonly State[]
}

/** How something is, in words. */
export interface State {
  name: string
  /** How good that is; undefined: neither good nor bad. */
  level?: 'good' | 'warn' | 'bad' | undefined
  text: string
}

/** The page is served whatever is down. */
const READ_WITHIN_MS = 1_500

/** Reads all parts at once. Those that do not answer in time are undefined. */
export async function readOverview(vitals: Vitals): Promise<Overview> {
  const { clock, view } = vitals
  const part = async <T>(work: Promise<T>): Promise<T | undefined> =>
    withTimeout({ work, ms: READ_WITHIN_MS, clock, onTimeout: () => new Error('too late') }).catch(() => undefined)
  const isUp = async (ping: Promise<unknown>) => (await part(ping.then(() => true))) ?? false
  const [counts, forecast, history, overdue, setAside, isRedisUp, isStoreUp] = await Promise.all([
    part(view.counts()),
    part(view.forecast()),
    part(vitals.readHistory()),
    part(vitals.readOverdue()),
    part(Promise.resolve(vitals.readSetAside())),
    isUp(vitals.pingRedis()),
    isUp(vitals.pingStore()),
  ])
  return {
    at: clock.now(),
    waiting: forecast?.waiting,
    due: forecast?.due,
    failed: counts?.jobs.failed,
    overdue,
    history,
    forecast,
    states: [
      stateOf('Redis', isRedisUp, { good: 'up', bad: 'down' }),
      stateOf('Order store', isStoreUp, { good: 'up', bad: 'down' }),
      stateOf('Breaker', !vitals.isBreakerOpen, { good: 'closed', bad: 'open' }),
      brakeState(isRedisUp ? vitals : undefined), // Redis keeps it
      stateOf('Queue', counts && !counts.isPaused, { good: 'running', bad: 'paused' }),
      ...(setAside ? setAsideStates(setAside) : []),
      ...clockStates(vitals.clockOffsets),
      ...(vitals.dryRun ? [{ name: 'Dry run', level: 'warn', text: 'cancels nothing' } as const] : []),
    ],
  }
}

/** @param isGood undefined: not known */
function stateOf(name: string, isGood: boolean | undefined, texts: { good: string; bad: string }): State {
  if (isGood === undefined) return { name, level: 'warn', text: 'unknown' }
  return isGood ? { name, level: 'good', text: texts.good } : { name, level: 'bad', text: texts.bad }
}

function brakeState({ brake, brakeFailure }: Partial<Vitals> = {}): State {
  if (brakeFailure) return { name: 'Brake', level: 'bad', text: 'unknown: cancels nothing' }
  const reason = brake?.reason ? `: ${brake.reason}` : ''
  return stateOf('Brake', brake && !brake.engaged, { good: 'released', bad: `engaged${reason}` })
}

/** Nothing where no order is set aside: most shops never have one. */
function setAsideStates({ backlog, unreadable }: SetAside): State[] {
  const rows = { Backlog: backlog.orders, 'Unreadable deadlines': unreadable.orders }
  return Object.entries(rows).flatMap(([name, orders]): State[] =>
    orders > 0 ? [{ name, level: 'warn', text: number(orders) }] : [],
  )
}

/** Only those that differ from ours. */
function clockStates({ redis = 0, store = 0 }: Vitals['clockOffsets']): State[] {
  return Object.entries({ 'Clock of Redis': redis, 'Clock of the store': store }).flatMap(([name, ms]) => {
    if (Math.abs(ms) <= CLOCKS_DIFFER_MS) return []
    return [{ name, level: 'warn', text: `${clockDifference(Math.abs(ms))} ${ms < 0 ? 'behind' : 'ahead'}` }]
  })
}
