import type { Overview } from '../../src/http/pages/read-overview.ts'

const AT = Date.parse('2026-11-25T10:00:30Z')

/** A shop in which all is well, but for what is given. */
export function fakeOverview(given: Partial<Overview> = {}): Overview {
  const waiting = 1_234
  return {
    at: AT,
    phase: 'running',
    dryRun: false,
    isBreakerOpen: false,
    isStoreTried: true,
    away: { redis: undefined, store: undefined },
    brake: { engaged: false },
    brakeFailure: undefined,
    workerFailure: undefined,
    clockOffsets: { redis: 0, store: 0 },
    counts: { jobs: { delayed: waiting, failed: 0 }, isPaused: false },
    overdue: { orders: 0, oldestSeconds: 0 },
    history: Array.from({ length: 60 }, (_, n) => ({ cancelled: n, kept: 1, 'late:3': n })),
    forecast: {
      at: AT,
      waiting,
      due: 0,
      within: { '1m': 2, '5m': 10, '15m': 30, '60m': 120 },
      minutes: new Array<number>(60).fill(2),
    },
    memory: { used: 1_572_864, max: 0, policy: 'noeviction' },
    setAside: undefined,
    outbox: undefined,
    processes: [{ name: 'a:1', version: '0.2.0', startedAt: AT - 7_200_000 }],
    lastSweep: { by: 'a:1', at: AT - 40_000, overdue: 0, cancelled: 0 },
    cancelled: [],
    ...given,
  }
}

/** Of what cannot be read while Redis is away. */
export const NOTHING_OF_REDIS: Partial<Overview> = {
  counts: undefined,
  history: undefined,
  forecast: undefined,
  memory: undefined,
  processes: undefined,
  cancelled: undefined,
}
