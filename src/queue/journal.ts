import type { Connection } from '../redis/connection.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Service } from '../runtime/service.ts'

/** A line about an order, of JSON. */
interface JournalLine {
  orderId: string
  /** Epoch milliseconds. */
  at: number
  line: string
}

/** What is kept of one journal in Redis, whoever writes it. */
interface JournalPlace {
  /** A hash: the lines of each order, the oldest first. */
  lines: string
  /** A sorted set of its fields by time, where the oldest orders go once there are too many. */
  times?: string
}

/** Orders that have their lines. */
export const MOST_ORDERS = 20_000
const MOST_LINES = 10
/** One script takes about a millisecond, during which Redis serves nobody else. */
const LINES_IN_ONE_SCRIPT = 100
const AGAIN_MS = 1_000

/**
 * Adds lines to those of their orders, unless they are there: a script whose answer was lost is sent again.
 *
 * KEYS: the hash of lines by order; the sorted set of orders by time, if there is one
 * ARGV: the most lines of an order; the most orders; then for each line the order id, the time and the line
 */
const ADD_LINES = `
local most_lines, most_orders = tonumber(ARGV[1]), tonumber(ARGV[2])
for n = 3, #ARGV, 3 do
  local id, at, line = ARGV[n], ARGV[n + 1], ARGV[n + 2]
  local lines = redis.call('HGET', KEYS[1], id)
  if not lines then
    redis.call('HSET', KEYS[1], id, line)
  elseif not string.find('\\n' .. lines .. '\\n', '\\n' .. line .. '\\n', 1, true) then
    lines = lines .. '\\n' .. line
    local _, breaks = string.gsub(lines, '\\n', '')
    if breaks >= most_lines then lines = string.gsub(lines, '^[^\\n]*\\n', '', 1) end
    redis.call('HSET', KEYS[1], id, lines)
  end
  if KEYS[2] then redis.call('ZADD', KEYS[2], at, id) end
end
local surplus = KEYS[2] and redis.call('ZCARD', KEYS[2]) - most_orders or 0
if surplus > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[2], math.min(surplus, 1000))
  for n = 1, #oldest, 2 do redis.call('HDEL', KEYS[1], oldest[n]) end
end
`

interface JournalOptions {
  name: string
  place: JournalPlace
  /** Whose commands time out; it is not closed. */
  connection: Connection
  /** Told of the first failure in a row. */
  onError?: (error: Error) => void
  clock: Clock
}

/**
 * Lines about orders, written to Redis a moment later and in batches: nobody who adds one waits for Redis. While Redis is
 * away, the newest {@link MOST_ORDERS} lines are kept, and written when it is back.
 */
export class Journal implements Service {
  readonly name: string
  readonly #options: JournalOptions
  readonly #stopping = new AbortController()
  #waiting: JournalLine[] = []
  #writing: Promise<void> | undefined
  #isFailing = false

  constructor(options: JournalOptions) {
    this.name = options.name
    this.#options = options
  }

  add(lines: readonly JournalLine[]): void {
    if (lines.length === 0) return
    this.#waiting.push(...lines)
    this.#dropOldest()
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
    })
  }

  async start(): Promise<void> {}

  /** Resolves once everything is written, or at once if Redis has last failed to answer. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#writing
  }

  async #write(): Promise<void> {
    const { connection, onError, clock } = this.#options
    while (this.#waiting.length > 0) {
      if (this.#isFailing && this.#stopping.signal.aborted) return
      const lines = this.#waiting.splice(0, LINES_IN_ONE_SCRIPT)
      try {
        // ioredis would keep a command that has no connection, and send it after its time-out.
        await connection.untilReady()
        await this.#send(lines)
        this.#isFailing = false
      } catch (error) {
        this.#waiting.unshift(...lines)
        this.#dropOldest()
        if (!this.#isFailing) onError?.(connection.explain(error))
        this.#isFailing = true
        await clock.sleep(AGAIN_MS, this.#stopping.signal).catch(() => {}) // stopping
      }
    }
  }

  async #send(lines: readonly JournalLine[]): Promise<void> {
    const { place, connection } = this.#options
    const keys = [place.lines, ...(place.times ? [place.times] : [])]
    const args = lines.flatMap(({ orderId, at, line }) => [orderId, at, line])
    await connection.redis.eval(ADD_LINES, keys.length, ...keys, MOST_LINES, MOST_ORDERS, ...args)
  }

  #dropOldest(): void {
    if (this.#waiting.length > MOST_ORDERS) this.#waiting.splice(0, this.#waiting.length - MOST_ORDERS)
  }
}
