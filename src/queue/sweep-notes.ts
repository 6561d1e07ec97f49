import type { Redis } from 'ioredis'
import type { Check } from '../order/order.ts'
import { isLeftBehind, type Settlement } from '../order/settle.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import { readJson } from '../runtime/json.ts'
import { type FinishedCheck, finishedCheckOf } from './contract.ts'
import { Journal, MOST_ORDERS } from './journal.ts'

/** Why a sweep did not settle an order, though it was overdue. */
interface SweepObstacle {
  /** The reason of the postponement, or the code of the error. */
  why: string
  /** What the store said. */
  message?: string
  /** ISO 8601. */
  at: string
  /** The process, as `host:pid`. */
  by: string
}

/** What a sweep did with an order: the same evidence as on a finished check, or why there is none. */
export type SweepNote = FinishedCheck | SweepObstacle

const LONGEST_MESSAGE = 300

/**
 * KEYS: the hash of notes by order; the sorted set of orders by time
 * ARGV: the time up to which to drop; how many orders at most
 * Returns how many it has dropped.
 */
const DROP_OLD = `
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #ids == 0 then return 0 end
redis.call('HDEL', KEYS[1], unpack(ids))
return redis.call('ZREM', KEYS[2], unpack(ids))
`

/**
 * Keeps what sweeps do with orders, as long as finished checks are kept: a sweep has no job on which it could leave that. Why
 * an order stays as it is is noted once by each process, until that changes.
 */
export class SweepNotes extends Journal {
  readonly #by: string
  readonly #clock: Clock
  /** Why orders stay as they are, as this process has noted. */
  readonly #noted = new Map<string, string>()

  /** @param options.by who sweeps, as `host:pid` */
  constructor(options: {
    connection: Connection
    queue: NamedQueue
    by: string
    onError?: (error: Error) => void
    clock: Clock
  }) {
    const { swept: lines, sweptAt: times } = options.queue.keys
    super({ ...options, name: 'sweep-notes', place: { lines, times } })
    this.#by = options.by
    this.#clock = options.clock
  }

  note(checks: readonly Check[], settlements: readonly Settlement[]): void {
    const now = this.#clock.now()
    this.add(
      settlements.flatMap((settlement, index) => {
        const check = checks[index] as Check
        const note = this.#noteOf(check, settlement, now)
        return note ? [{ orderId: check.orderId, at: now, line: JSON.stringify(note) }] : []
      }),
    )
  }

  #noteOf(check: Check, settlement: Settlement, now: number): SweepNote | undefined {
    if (settlement.kind === 'cancelled') {
      this.#noted.delete(check.orderId)
      return finishedCheckOf({ outcome: settlement, wanted: check, decidedBy: this.#by })
    }
    const isKept = settlement.kind === 'kept'
    const obstacle = isKept ? { why: `kept ${settlement.status}` } : obstacleOf(settlement)
    if (!obstacle || this.#noted.get(check.orderId) === obstacle.why) return undefined
    if (this.#noted.size >= MOST_ORDERS) this.#noted.clear()
    this.#noted.set(check.orderId, obstacle.why)
    if (isKept) return finishedCheckOf({ outcome: settlement, wanted: check, decidedBy: this.#by })
    return { ...obstacle, at: new Date(now).toISOString(), by: this.#by }
  }
}

/** Only what says something about the order itself, or holds it back: an outage is nothing of that. */
function obstacleOf(settlement: Settlement): Pick<SweepObstacle, 'why' | 'message'> | undefined {
  if (settlement.kind === 'postponed') {
    return settlement.reason === 'not-due' ? undefined : { why: settlement.reason }
  }
  if (settlement.kind !== 'failed' || !isLeftBehind(settlement)) return undefined
  const { code, message } = settlement.error
  return { why: code, message: message.slice(0, LONGEST_MESSAGE) }
}

/** The notes of one order, from its lines; what cannot be read is left out. */
export function parseSweepNotes(lines: string | null): SweepNote[] {
  const notes = (lines ?? '').split('\n').map(readJson)
  return notes.filter((note) => note !== undefined) as SweepNote[]
}

/** Drops what was noted before that time, of some orders. @returns of how many */
export function dropSweepNotes(
  { redis, keys }: { redis: Redis; keys: Pick<QueueKeys, 'swept' | 'sweptAt'> },
  { before, atMost }: { before: number; atMost: number },
): Promise<number> {
  return redis.eval(DROP_OLD, 2, keys.swept, keys.sweptAt, before, atMost) as Promise<number>
}
