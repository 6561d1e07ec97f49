import fc from 'fast-check'
import type { ErrorCode } from '../../src/errors.ts'
import type { Settings } from './simulated-daemon.ts'

/** A place in the faulty part of a run: from 0, its beginning, to 100, its end. */
type Place = number

interface Placed {
  deadline: Place
  placedAt: Place
  /** Milliseconds from the row to the job; undefined: nobody asks for a check. */
  jobAfterMs: number | undefined
  isBad: boolean
}

export type Operation =
  | { kind: 'pay'; order: number; at: Place; holdMs: number; isGivenUp: boolean }
  /** At the deadline of the order, give or take a little. */
  | { kind: 'pay-late'; order: number; byMs: number; holdMs: number; isGivenUp: boolean }
  | { kind: 'withdraw'; order: number; at: Place }
  | { kind: 'extend'; order: number; at: Place; byMs: number; tellsQueue: boolean }
  | { kind: 'promote'; order: number; at: Place }
  | { kind: 'check-again'; order: number; at: Place }
  | { kind: 'sweep'; process: number; at: Place }
  | { kind: 'crash'; process: number; at: Place; downMs: number; thenDryRun: boolean }
  | { kind: 'freeze'; process: number; at: Place; forMs: number }
  | { kind: 'set-clock'; process: number; at: Place; byMs: number }
  | { kind: 'store-outage'; at: Place; forMs: number; code: ErrorCode; isCommitted: boolean; hangMs: number }
  | { kind: 'redis-away'; at: Place; forMs: number }
  | { kind: 'redis-emptied'; at: Place }
  | { kind: 'engage'; at: Place }
  | { kind: 'release'; at: Place; suspendMs: number }

/** A run, but for the choices that the scheduler makes of its seed. */
export interface Scenario {
  seed: number
  /** How long the faulty part takes. */
  spanMs: number
  /** By how much the clock of each process is wrong. */
  offsetsMs: [number, number]
  settings: Settings
  /** No fault but that Redis is away, if that, and until then each order has a check in time. */
  isHealthy: boolean
  orders: Placed[]
  operations: Operation[]
}

/** Often just when orders fall due. */
const due = fc.integer({ min: 0, max: 20 }).map((n) => n * 6)
const place = fc.oneof(due, fc.integer({ min: 0, max: 100 }))
const order = fc.nat(7)
const process = fc.nat(1)
const holdMs = fc.constantFrom(0, 1, 50, 1_000, 5_000)
const forMs = fc.constantFrom(1, 100, 3_000, 10_000, 30_000)
const offset = fc.constantFrom(0, 0, 3, 180_000, -180_000)
const kind = <K extends Operation['kind']>(name: K) => fc.constant(name)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: kind('pay'), order, at: place, holdMs, isGivenUp: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: kind('pay-late'),
      order,
      byMs: fc.constantFrom(-500, -20, -1, 0, 1, 5, 150, 900),
      holdMs,
      isGivenUp: fc.boolean(),
    }),
  },
  fc.record({ kind: kind('withdraw'), order, at: place }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind('extend'),
      order,
      at: place,
      byMs: fc.constantFrom(1, 2_000, 30_000, -5_000),
      tellsQueue: fc.boolean(),
    }),
  },
  fc.record({ kind: kind('promote'), order, at: place }),
  { weight: 2, arbitrary: fc.record({ kind: kind('check-again'), order, at: place }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('sweep'), process, at: place }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind('crash'),
      process,
      at: place,
      downMs: fc.constantFrom(0, 500, 10_000, 30_000),
      thenDryRun: fc.constantFrom(false, false, false, true),
    }),
  },
  fc.record({ kind: kind('freeze'), process, at: place, forMs: fc.constantFrom(200, 5_000, 40_000) }),
  fc.record({ kind: kind('set-clock'), process, at: place, byMs: fc.constantFrom(-60_000, 60_000, -1_000) }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind('store-outage'),
      at: place,
      forMs,
      code: fc.constantFrom<ErrorCode>(
        ...(['STORE_UNAVAILABLE', 'STORE_UNAVAILABLE', 'STORE_BUSY', 'STORE_READ_ONLY', 'STORE_REFUSED'] as const),
        ...(['STORE_LOCKED', 'STORE_DEADLOCK', 'STORE_SERIALIZATION'] as const),
      ),
      isCommitted: fc.boolean(),
      hangMs: fc.constantFrom(0, 0, 100, 10_000),
    }),
  },
  fc.record({ kind: kind('redis-away'), at: place, forMs }),
  fc.record({ kind: kind('redis-emptied'), at: place }),
  fc.record({ kind: kind('engage'), at: place }),
  fc.record({ kind: kind('release'), at: place, suspendMs: fc.constantFrom(0, 5_000, 60_000) }),
)

const placed: fc.Arbitrary<Placed> = fc.record({
  deadline: due,
  placedAt: fc.constantFrom(0, 0, 0, 10, 60),
  jobAfterMs: fc.constantFrom(0, 0, 20, -20, -500, 3_000, undefined),
  isBad: fc.constantFrom(...new Array<boolean>(15).fill(false), true),
})

export const scenario: fc.Arbitrary<Scenario> = fc.record({
  seed: fc.noShrink(fc.integer()),
  spanMs: fc.constantFrom(15_000, 30_000, 80_000),
  offsetsMs: fc.tuple(offset, offset),
  isHealthy: fc.constant(false),
  settings: fc.record({
    maxPerMinute: fc.constantFrom(undefined, undefined, 2, 4),
    paymentSilenceMs: fc.constantFrom(undefined, undefined, undefined, 15_000),
    sweepEveryMs: fc.constantFrom(60_000, 10_000),
    batchSize: fc.constantFrom(100, 1, 2, 3),
    maxBatches: fc.constantFrom(4, 1, 2),
  }),
  orders: fc.array(placed, { minLength: 1, maxLength: 8, size: 'max' }),
  operations: fc.array(operation, { maxLength: 14, size: 'max' }),
})

const HARMLESS: readonly Operation['kind'][] = ['pay', 'pay-late', 'withdraw', 'promote', 'check-again', 'sweep']

/** For most of a run, and not when it begins: a process must have heard of Redis once. */
const REDIS_AWAY: Record<'from' | 'until', Place> = { from: 8, until: 85 }

/** The same without faults. */
export const healthyScenario: fc.Arbitrary<Scenario> = scenario.map((each) => ({
  ...each,
  isHealthy: true,
  offsetsMs: [0, 0],
  settings: { ...each.settings, maxPerMinute: undefined, paymentSilenceMs: undefined, batchSize: 100, maxBatches: 4 },
  orders: each.orders.map(({ deadline }) => ({ deadline: deadline + 6, placedAt: 0, jobAfterMs: 0, isBad: false })),
  operations: each.operations.filter(({ kind }) => HARMLESS.includes(kind)),
}))

/**
 * The same, but Redis is away most of the time. Some orders are placed meanwhile, with or without a check, or get a later
 * deadline; and clocks are wrong.
 */
export const redisAwayScenario: fc.Arbitrary<Scenario> = fc
  .tuple(healthyScenario, scenario)
  .map(([healthy, { spanMs, orders, operations, offsetsMs }]) => ({
    ...healthy,
    spanMs,
    offsetsMs,
    orders: orders.map(({ deadline, placedAt, jobAfterMs }) => ({
      deadline: Math.max(deadline, placedAt) + 6,
      placedAt,
      jobAfterMs: placedAt > REDIS_AWAY.from && placedAt < REDIS_AWAY.until ? jobAfterMs && Math.max(0, jobAfterMs) : 0,
      isBad: false,
    })),
    operations: [
      ...healthy.operations,
      ...operations.filter((each) => each.kind === 'extend' && each.byMs > 0),
      { kind: 'redis-away', at: REDIS_AWAY.from, forMs: ((REDIS_AWAY.until - REDIS_AWAY.from) / 100) * spanMs },
    ],
  }))

/** One order whose cancellation the store rolls back again and again, under a limit. */
export const badOrderScenario: fc.Arbitrary<Scenario> = scenario.map((each) => ({
  ...each,
  spanMs: 80_000,
  settings: { ...each.settings, maxPerMinute: 4, paymentSilenceMs: undefined, sweepEveryMs: 10_000 },
  orders: [{ deadline: 6, placedAt: 0, jobAfterMs: 0, isBad: true }],
  operations: each.operations.filter(({ kind }) => HARMLESS.includes(kind)),
}))
