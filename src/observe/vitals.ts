import type { SetAside } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import type { ClockOffsets } from './clock-offsets.ts'
import type { Counts } from './minutes.ts'

/** What is known of the process and of what it depends on: the same for metrics, pages, probes and the board. */
export interface Vitals {
  /** Of this package. */
  readonly version: string
  readonly dryRun: boolean
  readonly clock: Clock
  readonly phase: 'starting' | 'running' | 'stopping'
  /** The loops that must go on, while they must, and how long each has been silent. */
  loops(): readonly { name: string; ageMs: number }[]
  /** Rejects while Redis cannot be used. */
  pingRedis(): Promise<unknown>
  /** Why Redis cannot be used, as far as it has been noticed. */
  readonly redisFailure: Error | undefined
  /** Whether the order store has been tried: before that nothing is known of it. */
  readonly isStoreTried: boolean
  /** Why Redis has not let the worker do its work for some seconds, although it answers. */
  readonly workerFailure: Error | undefined
  /** Whether checks are taken and ended by BullMQ's own scripts; undefined: none are yet. */
  readonly areClaimsWrapped: boolean | undefined
  /** Rejects while the order store cannot be used. */
  pingStore(): Promise<unknown>
  readonly isBreakerOpen: boolean
  /** What could not be used when it was last tried. */
  readonly outages: { readonly redis: Outage | undefined; readonly store: Outage | undefined }
  /** Undefined: not known. */
  readonly brake: { engaged: boolean; reason?: string; by?: string; since?: number } | undefined
  /** Why it is not known whether the brake is engaged, so that nothing is cancelled. Undefined: it is, or was not read yet. */
  readonly brakeFailure: Error | undefined
  readonly clockOffsets: ClockOffsets
  /** Rejects while Redis is away. */
  readonly view: {
    /** Jobs by BullMQ's state. */
    counts(): Promise<{ jobs: Counts; isPaused: boolean }>
    forecast(): Promise<Forecast>
    /** Of Redis; `max` 0: no limit is set. */
    memory(): Promise<{ used: number; max: number; policy: string | undefined }>
    /** All that run, by name. */
    processes(): Promise<ProcessReport[]>
    /** The latest first. */
    lastCancelled(most: number): Promise<CancelledOrder[]>
  }
  /** Of this process; undefined: none yet. */
  readonly lastSweep: LastSweep | undefined
  /** Orders that count as overdue. Rejects while the order store is away. */
  readOverdue(): Promise<{ orders: number; oldestSeconds: number }>
  /** Events that nobody has taken. Undefined: the order store keeps none. */
  readOutbox(): Promise<{ events: number; oldestAgeMs: number | undefined }> | undefined
  /** Unpaid orders past their deadline that nobody cancels. Undefined: the order store has none. */
  readSetAside(): Promise<SetAside> | undefined
  /** The last hour, by the minute. */
  readHistory(): Promise<Counts[]>
}

/** Something cannot be used: since when, in epoch milliseconds, and why. */
export interface Outage {
  since: number
  error: Error
}

/** What a process tells of itself. */
export interface ProcessReport {
  /** `host:pid`. */
  name: string
  version: string
  /** Epoch milliseconds, by its own clock. */
  startedAt: number
  sweep?: LastSweep
}

/** How a sweep ended. */
export interface LastSweep {
  /** `host:pid`. */
  by: string
  /** Epoch milliseconds. */
  at: number
  /** Overdue orders that it found, and those that it cancelled. */
  overdue: number
  cancelled: number
  /** The code of what kept it from its end. */
  error?: string
}

/** Times are ISO 8601, by the order store's clock. */
export interface CancelledOrder {
  orderId: string
  deadline: string
  decidedAt: string
  /** `host:pid`. */
  decidedBy: string
  by: 'check' | 'sweep'
  /** Of its check, if that has another id than ours. */
  jobId?: string
}

/** Upcoming checks, over all producers and workers. */
export interface Forecast {
  /** When Redis was asked, in epoch milliseconds. */
  at: number
  /** Checks that are not due yet. */
  waiting: number
  /** Checks whose time has come and that have not ended. */
  due: number
  /** Checks due within each of these times from `at` on. */
  within: Record<'1m' | '5m' | '15m' | '60m', number>
  /** Checks due in each of the next 60 minutes, counted from `at`. */
  minutes: number[]
}
