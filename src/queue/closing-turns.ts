import type { Turns } from '../order/closing-turns.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'

/** A turn that nobody has come back for by then is lost: after an outage, they would all be taken at once. */
const LATE_MS = 5_000
/** Turns within this time are waited for, and need not be kept. */
const WAITED_FOR_MS = 1_000
/** Of the rate, what one process takes for itself while Redis is away: there may be others. */
const SHARE_ALONE = 0.25

/**
 * Evenly spaced turns of all processes, as GCRA has them without a burst; each order that has to wait is told when, and keeps its
 * turn. https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
 *
 * KEYS the kept turns, from when on there are free ones
 * ARGV the order, the space between two turns in ms
 * Returns ms until its turn, as text
 */
const TAKE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ${LATE_MS})
local kept = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '')
local turn = kept or math.max(now, tonumber(redis.call('GET', KEYS[2]) or 0))
local left = math.max(0, turn - now)
if not kept then redis.call('SET', KEYS[2], string.format('%.3f', turn + ARGV[2]), 'PX', math.ceil(left + ARGV[2]) + 1000) end
if left <= ${WAITED_FOR_MS} then
  redis.call('ZREM', KEYS[1], ARGV[1])
elseif not kept then
  redis.call('ZADD', KEYS[1], string.format('%.3f', turn), ARGV[1])
end
return string.format('%.3f', left)
`

/** {@link Turns} in Redis. While that is away, each process takes some of the rate for itself. */
export class ClosingTurns implements Turns {
  readonly #connection: Pick<Connection, 'redis' | 'explain'>
  readonly #queue: NamedQueue
  readonly #spaceMs: number
  readonly #onError: (error: Error) => void
  readonly #clock: Clock
  /** From when on there are free turns while Redis is away, by the monotonic clock. */
  #aloneAt = 0

  /** @param options.perSecond closings of all processes together */
  constructor(options: {
    connection: Pick<Connection, 'redis' | 'explain'>
    queue: NamedQueue
    perSecond: number
    onError: (error: Error) => void
    clock: Clock
  }) {
    this.#connection = options.connection
    this.#queue = options.queue
    this.#spaceMs = 1_000 / options.perSecond
    this.#onError = options.onError
    this.#clock = options.clock
  }

  async take(orderId: string): Promise<number> {
    const { closings, closingsNext } = this.#queue.keys
    try {
      return Number(await this.#connection.redis.eval(TAKE, 2, closings, closingsNext, orderId, this.#spaceMs))
    } catch (error) {
      this.#onError(this.#connection.explain(error))
      return this.#takeAlone()
    }
  }

  #takeAlone(): number {
    const now = this.#clock.monotonic()
    const turn = Math.max(now, this.#aloneAt)
    // Nobody keeps a turn that is far: whoever comes back for it takes another one.
    if (turn - now <= WAITED_FOR_MS) this.#aloneAt = turn + this.#spaceMs / SHARE_ALONE
    return turn - now <= WAITED_FOR_MS ? turn - now : WAITED_FOR_MS + Math.random() * WAITED_FOR_MS
  }
}
