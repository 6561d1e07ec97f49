import type { Counts } from '../../observe/minutes.ts'
import type { CancelledOrder, Forecast, LastSweep, ProcessReport, Vitals } from '../../observe/vitals.ts'
import type { SetAside } from '../../order/store.ts'
import { withTimeout } from '../../runtime/timeout.ts'

/** What a person on call wants to know. A part that cannot be read is undefined, and the page says so. */
export interface Overview
  extends Pick<
    Vitals,
    'phase' | 'dryRun' | 'isBreakerOpen' | 'brake' | 'brakeFailure' | 'workerFailure' | 'clockOffsets'
  > {
  /** Epoch milliseconds. */
  at: number
  /** Why each cannot be used now. */
  away: Vitals['outages']
  /** Whether the order store has been opened, or tried. */
  isStoreTried: boolean
  /** Jobs by BullMQ's state. */
  counts: { jobs: Counts; isPaused: boolean } | undefined
  overdue: { orders: number; oldestSeconds: number } | undefined
  /** The last minutes, the oldest first. */
  history: readonly Counts[] | undefined
  forecast: Forecast | undefined
  memory: Awaited<ReturnType<Vitals['view']['memory']>> | undefined
  setAside: SetAside | undefined
  outbox: Awaited<ReturnType<Vitals['readOutbox']>>
  processes: readonly ProcessReport[] | undefined
  /** The last of all processes. */
  lastSweep: LastSweep | undefined
  cancelled: readonly CancelledOrder[] | undefined
}

/** The page is served whatever is down. */
const READ_WITHIN_MS = 1_500
const CANCELLED_SHOWN = 8

/** Reads all parts at once. Those that do not answer in time are undefined. */
export async function readOverview(vitals: Vitals): Promise<Overview> {
  const { clock, view } = vitals
  const inTime = <T>(work: Promise<T>) => withTimeout({ work, ms: READ_WITHIN_MS, clock })
  const part = <T>(work: Promise<T> | undefined) => (work ? inTime(work).catch(() => undefined) : undefined)
  const [counts, forecast, history, overdue, setAside, outbox, memory, processes, cancelled, redis, store] =
    await Promise.all([
      part(view.counts()),
      part(view.forecast()),
      part(vitals.readHistory()),
      part(vitals.readOverdue()),
      part(vitals.readSetAside()),
      part(vitals.readOutbox()),
      part(view.memory()),
      part(view.processes()),
      part(view.lastCancelled(CANCELLED_SHOWN)),
      failureOf(inTime(vitals.pingRedis())),
      vitals.isStoreTried ? failureOf(inTime(vitals.pingStore())) : undefined,
    ])
  const { phase, dryRun, isBreakerOpen, isStoreTried, brake, brakeFailure, workerFailure, clockOffsets, outages } =
    vitals
  const at = clock.now()
  const away = {
    redis: redis && (outages.redis ?? { since: at, error: redis }),
    store: store && (outages.store ?? { since: at, error: store }),
  }
  const known = { phase, dryRun, isBreakerOpen, isStoreTried, brake, brakeFailure, workerFailure, clockOffsets }
  const { lastSweep } = vitals
  const reports = processes?.map((report) => (report.name === lastSweep?.by ? { ...report, sweep: lastSweep } : report))
  const read = { counts, forecast, history, overdue, setAside, outbox, memory, processes: reports, cancelled }
  return { at, away, ...known, ...read, lastSweep: lastOf(reports, lastSweep) }
}

async function failureOf(ping: Promise<unknown>): Promise<Error | undefined> {
  return ping.then(
    () => undefined,
    (error: Error) => error,
  )
}

/** @param own of this process, also if it cannot report */
function lastOf(processes: readonly ProcessReport[] | undefined, own: LastSweep | undefined): LastSweep | undefined {
  const sweeps = [own, ...(processes ?? []).map(({ sweep }) => sweep)].filter((sweep) => sweep !== undefined)
  return sweeps.sort((a, b) => b.at - a.at)[0]
}
