import type { Vitals } from '../../src/observe/vitals.ts'
import { FakeClock } from './fake-clock.ts'

const forecast = { at: 0, waiting: 0, due: 0, within: { '1m': 0, '5m': 0, '15m': 0, '60m': 0 }, minutes: [] }

/** A process that runs, with nothing to do and all well, but for what is given. */
export function fakeVitals(given: Partial<Vitals> = {}): { -readonly [Name in keyof Vitals]: Vitals[Name] } {
  return {
    version: '1.2.3',
    dryRun: false,
    clock: new FakeClock(),
    phase: 'running',
    loops: () => [],
    pingRedis: async () => {},
    redisFailure: undefined,
    isStoreTried: true,
    pingStore: async () => {},
    isBreakerOpen: false,
    outages: { redis: undefined, store: undefined },
    brake: undefined,
    brakeFailure: undefined,
    workerFailure: undefined,
    areClaimsWrapped: false,
    clockOffsets: { redis: undefined, store: undefined },
    view: {
      counts: async () => ({ jobs: {}, isPaused: false }),
      forecast: async () => forecast,
      memory: async () => ({ used: 1_048_576, max: 0, policy: 'noeviction' }),
      processes: async () => [],
      lastCancelled: async () => [],
    },
    lastSweep: undefined,
    readOverdue: async () => ({ orders: 0, oldestSeconds: 0 }),
    readSetAside: () => undefined,
    readOutbox: () => undefined,
    readHistory: async () => [],
    ...given,
  }
}
