import { HEALTHY_MS, LATE_AFTER_MS, VERY_LATE_AFTER_MS } from '../../../src/order/promise.ts'
import type { World, WorldOptions } from './world.ts'

/** One fault, what is promised under it, and how it is brought about. */
export interface FaultCase {
  name: string
  /** How it is injected, for the table in docs/reliability.md. */
  injected: string
  /** What is promised, for the table. */
  promise: string
  /** Within how many milliseconds of the healing, or of its deadline, each unpaid order that Redis knows is cancelled. */
  boundMs: number
  /** What `npm run faults --` is called with to run it. Default `--case` and its name. */
  replay?: string
  /** How long it takes, about; the longest begin first. */
  seconds: number
  /** Its bound is too short, or its load too heavy, for other cases beside it. */
  isAlone?: true
  world?: WorldOptions
  /**
   * Within how many milliseconds of their deadline workers cancel orders placed at the end of the case; the sweep comes
   * after 5 s. Default {@link LATE_MS}; `none` where the case ends with something that keeps workers from it.
   */
  lateMs?: number | 'none'
  /** How long after the healing, in milliseconds, what was broken may still show. Default 0. */
  aftermathMs?: number
  /** Whether something in the shop does not let an order be cancelled. It is never told of as cancelled, and its job fails. */
  rejects?: (orderId: string) => boolean
  /** Jobs of other orders in the failed set at the end, at most. Default 0. */
  failedJobs?: number
  /** What a worker must have been sent, or the fault has not reached it: an SQLSTATE, or the first word of an error of Redis. */
  refusal?: string
  /** @returns when everything was well again, as epoch milliseconds; from then on the bound counts */
  run(world: World): Promise<number>
}

/** I2, while nothing that an order needs is broken. */
export const AT_ONCE_MS = HEALTHY_MS
/** I2, where only an answer of Redis to a worker is lost. */
export const LOST_MS = 2_000
/** I2, for orders placed when all is well again, on a busy machine. */
export const LATE_MS = 3_000
/** I2, for a job that Redis still knows. */
export const KNOWN_MS = LATE_AFTER_MS
/** I2, for an order of which Redis knows nothing: until the next sweep. */
export const UNKNOWN_MS = VERY_LATE_AFTER_MS

/** The same fault where workers go by BullMQ's own scripts. */
export function wrapped(fault: FaultCase): FaultCase {
  const { name, injected, world } = fault
  return {
    ...fault,
    name: `${name}; wrapped claims`,
    injected: `${injected}; CLAIMS=wrapped`,
    world: { ...world, env: { ...world?.env, CLAIMS: 'wrapped' } },
  }
}
