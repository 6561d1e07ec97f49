import { Queue } from 'bullmq'
import type { PageEnd } from '../order/store.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { addJobs, moveJob, type Placement } from './check-jobs.ts'
import { Connection, commandProfile, type RedisAddress } from './connection.ts'
import { type JobData, jobIdOf } from './contract.ts'

const COMMAND_TIMEOUT_MS = 5_000
const CALL_TIMEOUT_MS = 20_000
/** Orders in one round trip. */
const CHUNK = 250

/** Gives orders the check that they lack, because Redis has lost it or because nobody ever asked for one. */
export class MissingChecks {
  readonly #connection: Connection
  readonly #queueName: string
  readonly #prefix: string
  readonly #clock: Clock
  #queue: Queue<JobData> | undefined

  constructor(options: { redis: RedisAddress; queueName: string; queuePrefix: string; clock: Clock }) {
    const { redis, queueName, queuePrefix, clock } = options
    this.#connection = new Connection({ address: redis, profile: commandProfile(redis, COMMAND_TIMEOUT_MS) })
    this.#queueName = queueName
    this.#prefix = queuePrefix
    this.#clock = clock
  }

  /**
   * Afterwards each of the orders has a check at its deadline, or before.
   *
   * @param options.dryRun only count those that lack one
   * @returns how many lacked one
   * @throws {OrderExpiryError} REDIS_UNAVAILABLE, REDIS_REFUSED
   */
  async add(orders: readonly PageEnd[], options: { dryRun: boolean }): Promise<number> {
    const onTimeout = () => new Error(`no answer within ${CALL_TIMEOUT_MS} ms`)
    try {
      return await withTimeout({ work: this.#add(orders, options), ms: CALL_TIMEOUT_MS, clock: this.#clock, onTimeout })
    } catch (error) {
      throw this.#connection.explain(error)
    }
  }

  close(): void {
    this.#queue?.close().catch(() => {})
    this.#connection.close()
  }

  async #add(orders: readonly PageEnd[], { dryRun }: { dryRun: boolean }): Promise<number> {
    const queue = await this.#open()
    const queues = { queue, redis: this.#connection.redis }
    let count = 0
    for (let start = 0; start < orders.length; start += CHUNK) {
      const { missing, late } = await this.#compare(queue, orders.slice(start, start + CHUNK))
      count += missing.length + late.length
      if (dryRun) continue
      if (missing.length > 0) await addJobs(queues, missing)
      for (const placement of late) await moveJob(queues, placement)
    }
    return count
  }

  /** Which orders have no check, and which have one later than their deadline. */
  async #compare(
    queue: Queue<JobData>,
    orders: readonly PageEnd[],
  ): Promise<{ missing: Placement[]; late: Placement[] }> {
    const pipeline = this.#connection.redis.pipeline()
    for (const { orderId } of orders) pipeline.hmget(queue.toKey(jobIdOf(orderId)), 'timestamp', 'finishedOn', 'data')
    const replies = (await pipeline.exec()) ?? []
    const missing: Placement[] = []
    const late: Placement[] = []
    for (const [index, { orderId, deadline }] of orders.entries()) {
      const [error, fields] = replies[index] ?? []
      if (error) throw error
      const [timestamp, finishedOn, data] = fields as (string | null)[]
      const placement = { orderId, deadline: Math.ceil(deadline), placedAt: this.#clock.now() }
      if (timestamp == null || finishedOn != null) missing.push(placement)
      else if (deadlineOf(data) > placement.deadline) late.push(placement)
    }
    return { missing, late }
  }

  async #open(): Promise<Queue<JobData>> {
    await this.#connection.untilReady()
    this.#queue ??= this.#createQueue()
    const queue = this.#queue
    try {
      await queue.waitUntilReady()
      return queue
    } catch (error) {
      // BullMQ keeps a failed first connection for ever; the next call begins anew.
      if (this.#queue === queue) this.#queue = undefined
      throw error
    }
  }

  #createQueue(): Queue<JobData> {
    const queue = new Queue<JobData>(this.#queueName, { connection: this.#connection.redis, prefix: this.#prefix })
    queue.on('error', () => {}) // the connection remembers why
    return queue
  }
}

/** The deadline on a job as this library writes it; zero for anything else, which its check will judge. */
function deadlineOf(data: string | null | undefined): number {
  try {
    const { deadline } = JSON.parse(data ?? '') as { deadline?: unknown }
    return typeof deadline === 'number' ? deadline : 0
  } catch {
    return 0
  }
}
