import type { Counts } from '../../observe/minutes.ts'
import type { Forecast } from '../../queue/view/forecast.ts'
import type { QueueCounts } from '../../queue/view/queue-view.ts'
import type { Clock } from '../../runtime/clock.ts'
import { withTimeout } from '../../runtime/timeout.ts'
import type { Overview, State } from './overview.ts'

export interface OverviewSources {
  counts: () => Promise<QueueCounts>
  forecast: () => Promise<Forecast>
  /** The last hour, by the minute. */
  history: () => Promise<Counts[]>
  overdue: () => Promise<NonNullable<Overview['overdue']>>
  pingRedis: () => Promise<unknown>
  pingStore: () => Promise<unknown>
  storeBreakerOpen: () => boolean
  /** Undefined: not known. */
  brake: () => { engaged: boolean; reason?: string } | undefined
  dryRun: boolean
  clock: Clock
}

/** A page must come, whatever is down. */
const WITHIN_MS = 1_500

/** All parts at once; those that do not answer in time are undefined. */
export async function readOverview(sources: OverviewSources): Promise<Overview> {
  const { clock } = sources
  const part = <T>(work: Promise<T>): Promise<T | undefined> =>
    withTimeout({ work, ms: WITHIN_MS, clock, onTimeout: () => new Error('too late') }).catch(() => undefined)
  const isUp = (work: Promise<unknown>) => part(work.then(() => true)).then((up) => up ?? false)
  const [counts, forecast, history, overdue, redis, store] = await Promise.all([
    part(sources.counts()),
    part(sources.forecast()),
    part(sources.history()),
    part(sources.overdue()),
    isUp(sources.pingRedis()),
    isUp(sources.pingStore()),
  ])
  return {
    at: clock.now(),
    waiting: forecast?.waiting,
    due: forecast?.due,
    failed: counts?.jobs.failed,
    overdue,
    history,
    forecast,
    states: [upState('Redis', redis), upState('Order store', store), ...otherStates(sources, counts, redis)],
  }
}

function upState(name: string, isUp: boolean): State {
  return isUp ? { name, level: 'good', text: 'up' } : { name, level: 'bad', text: 'down' }
}

function otherStates(
  { storeBreakerOpen, brake, dryRun }: OverviewSources,
  counts: QueueCounts | undefined,
  isRedisUp: boolean,
): State[] {
  const known = isRedisUp ? brake() : undefined // it is kept there
  const brakeState: State = !known
    ? { name: 'Brake', level: 'warn', text: 'unknown' }
    : known.engaged
      ? { name: 'Brake', level: 'bad', text: `engaged${known.reason ? `: ${known.reason}` : ''}` }
      : { name: 'Brake', level: 'good', text: 'released' }
  return [
    storeBreakerOpen()
      ? { name: 'Breaker', level: 'bad', text: 'open' }
      : { name: 'Breaker', level: 'good', text: 'closed' },
    brakeState,
    !counts
      ? { name: 'Queue', level: 'warn', text: 'unknown' }
      : counts.isPaused
        ? { name: 'Queue', level: 'bad', text: 'paused' }
        : { name: 'Queue', level: 'good', text: 'running' },
    ...(dryRun ? [{ name: 'Dry run', level: 'warn', text: 'cancels nothing' } as const] : []),
  ]
}
