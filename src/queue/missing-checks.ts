import type { DueOrder } from '../order/store.ts'
import type { RedisAddress } from '../redis/address.ts'
import { Connection } from '../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../redis/keys.ts'
import { commandProfile } from '../redis/profiles.ts'
import { redisErrorCode } from '../redis/reply.ts'
import { timeOf } from '../redis/time.ts'
import { runInBatches } from '../runtime/batcher.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { CheckQueue } from './check-queue.ts'
import { jobIdOf, type Placement } from './contract.ts'
import { dueAtOf } from './due-score.ts'
import { moveJob, PACKETS, placeJobs } from './jobs.ts'
import { isJsonObject } from './unreadable-data.ts'

const COMMAND_TIMEOUT_MS = 5_000
const CALL_TIMEOUT_MS = 20_000
const ORDERS_COMPARED_AT_ONCE = 250
/** How late a job that was moved may be: BullMQ counts its delay from its own now. */
const TOLERANCE_MS = 250

/** Gives orders the check that they lack, because Redis has lost it or because nobody ever asked for one. */
export class MissingChecks {
  readonly #connection: Connection
  readonly #queue: CheckQueue
  readonly #clock: Clock

  constructor({ redis, queue, clock }: { redis: RedisAddress; queue: NamedQueue; clock: Clock }) {
    this.#connection = new Connection({ address: redis, profile: commandProfile(redis, COMMAND_TIMEOUT_MS) })
    this.#queue = new CheckQueue({ connection: this.#connection, queue })
    this.#clock = clock
  }

  /**
   * Afterwards each of the orders has a check at its deadline, or before.
   *
   * @param options.dryRun only count those that lack one
   * @returns how many lacked one
   * @throws {OrderExpiryError} REDIS_UNAVAILABLE, REDIS_REFUSED
   */
  add(orders: readonly DueOrder[], { dryRun }: { dryRun: boolean }): Promise<number> {
    return this.#connection.ask(() =>
      withTimeout({ work: this.#add(orders, dryRun), ms: CALL_TIMEOUT_MS, clock: this.#clock }),
    )
  }

  /** Gives the connection back, whatever is down. */
  close(): Promise<void> {
    return this.#queue.close()
  }

  async #add(orders: readonly DueOrder[], dryRun: boolean): Promise<number> {
    const open = await this.#queue.open()
    // An order is told as pending that has been cancelled since it was read: the evidence of that stays.
    const run = (placements: Placement[]) => placeJobs(open, placements, { keepsDecided: true })
    let count = 0
    // While the checks of one chunk are added, Redis is asked for the next.
    const compare = (start: number) => this.#compare(open.keys, orders.slice(start, start + ORDERS_COMPARED_AT_ONCE))
    let next = compare(0)
    for (let start = 0; start < orders.length; start += ORDERS_COMPARED_AT_ONCE) {
      const { missing, late } = await next
      next = compare(start + ORDERS_COMPARED_AT_ONCE)
      next.catch(() => {}) // if adding fails as well, that error is reported
      count += late.length
      if (dryRun) {
        count += missing.length
        continue
      }
      const before = await runInBatches({ ...PACKETS, items: missing, run })
      for (const job of before) if (job instanceof Error) throw job
      count += before.filter((job) => job === undefined).length
      for (const placement of late) await moveJob(open, placement)
    }
    return count
  }

  /**
   * Which orders have no check, and which have one that runs after their deadline, whatever its data says. A check whose
   * time has come by the clock of Redis was most likely looked at and postponed, with reason.
   */
  async #compare(keys: QueueKeys, orders: readonly DueOrder[]): Promise<{ missing: Placement[]; late: Placement[] }> {
    if (orders.length === 0) return { missing: [], late: [] }
    const pipeline = this.#connection.redis.pipeline()
    for (const jobId of orders.map(({ orderId }) => jobIdOf(orderId))) {
      pipeline.hmget(keys.job(jobId), 'timestamp', 'finishedOn', 'data')
      pipeline.zscore(keys.delayed, jobId)
    }
    const [replies, time] = await Promise.all([pipeline.exec(), timeOf(this.#connection.redis)])
    const now = Math.floor(time)
    const missing: Placement[] = []
    const late: Placement[] = []
    for (const [index, { orderId, deadline }] of orders.entries()) {
      const [jobError, fields] = replies?.[2 * index] ?? []
      const [scoreError, score] = replies?.[2 * index + 1] ?? []
      if (redisErrorCode(jobError) === 'WRONGTYPE') continue // not a job: the sweep settles the order when it is overdue
      if (jobError ?? scoreError) throw jobError ?? scoreError
      const [timestamp, finishedOn, data] = fields as (string | null)[]
      const placement = { orderId, deadline: Math.ceil(deadline), placedAt: now, by: 'sweep' }
      const dueAt = dueAtOf(Number(score ?? 0))
      if (timestamp == null || finishedOn != null) missing.push(placement)
      // One that cannot be read is left to its check.
      else if (placement.deadline > now && dueAt > placement.deadline + TOLERANCE_MS && isJsonObject(data ?? ''))
        late.push(placement)
    }
    return { missing, late }
  }
}
