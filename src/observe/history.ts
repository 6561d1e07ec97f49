import type { Redis } from 'ioredis'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'
import type { Clock } from '../runtime/clock.ts'
import { createLoop } from '../runtime/loop.ts'
import type { Service } from '../runtime/service.ts'
import { untilAborted } from '../runtime/timeout.ts'
import { type Counts, MINUTE_MS, type MinuteCounts } from './minutes.ts'

const KEPT_S = 3 * 3_600
const WRITE_EVERY_MS = 5_000
/** Minutes that are kept while they cannot be written: nobody looks further back than an hour. */
const MOST_MINUTES_KEPT = 60

/** What all processes have decided in the last three hours, for people who look: each minute is a hash of {@link Counts}. */
export class History {
  readonly #redis: Redis
  readonly #key: QueueKeys['minute']

  constructor({ redis, queue }: { redis: Redis; queue: NamedQueue }) {
    this.#redis = redis
    this.#key = queue.keys.minute
  }

  /** @throws ioredis' error */
  async add(minutes: ReadonlyMap<number, Counts>): Promise<void> {
    const pipeline = this.#redis.pipeline()
    for (const [minute, counts] of minutes) {
      const key = this.#key(minute)
      for (const [name, count] of Object.entries(counts)) pipeline.hincrby(key, name, count)
      pipeline.expire(key, KEPT_S)
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error
  }

  /** The minutes up to and including that of `now`, oldest first. @throws ioredis' error */
  async read(options: { now: number; minutes: number }): Promise<Counts[]> {
    const last = Math.floor(options.now / MINUTE_MS)
    const pipeline = this.#redis.pipeline()
    for (let minute = last - options.minutes + 1; minute <= last; minute++) pipeline.hgetall(this.#key(minute))
    return ((await pipeline.exec()) ?? []).map(([error, fields]) => {
      if (error) throw error
      const counts = Object.entries(fields as Record<string, string>)
      return Object.fromEntries(counts.map(([name, count]) => [name, Number(count)]))
    })
  }
}

/** Writes the counts to the history every few seconds and once more at the stop, unless Redis last failed to answer. */
export function createHistoryWriter(options: {
  counts: MinuteCounts
  history: History
  connection: Connection
  onError: (error: Error) => void
  clock: Clock
}): Service {
  const { counts, history, connection, onError, clock } = options
  let isAway = false

  async function write(): Promise<void> {
    const minutes = counts.take()
    if (minutes.size === 0) return
    try {
      // ioredis sends commands accepted without a connection later, even after their time-out: they would count twice.
      await connection.untilReady()
      await history.add(minutes)
      isAway = false
    } catch (error) {
      isAway = true
      onError(connection.explain(error))
      counts.giveBack(new Map([...minutes].slice(-MOST_MINUTES_KEPT)))
    }
  }

  return createLoop({
    name: 'history',
    firstPauseMs: WRITE_EVERY_MS,
    async step(signal) {
      await untilAborted(write(), signal).catch(() => {})
      return WRITE_EVERY_MS
    },
    async onStop() {
      if (!isAway) await write()
    },
    clock,
  })
}
