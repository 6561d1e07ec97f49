import type { JobJson, Queue, RedisClient } from 'bullmq'
import type { Redis } from 'ioredis'
import { parseContractDeadline } from '../order/deadline.ts'
import { callScript, type Script, type ScriptArgument, scriptOf } from '../redis/fast-scripts.ts'
import { redisErrorCode } from '../redis/reply.ts'
import { systemClock } from '../runtime/clock.ts'
import { type JobData, jobOf, type NewJob, type Placement } from './contract.ts'

/**
 * BullMQ does not say whether a job id existed. So its own script that adds a job, as it is, runs within this one, which
 * looks before: of clients that add the same order at the same moment, exactly one adds it.
 *
 * KEYS, ARGV: those of BullMQ's script, and as the last key the hash of the job
 * Returns {timestamp, delay, finishedOn, data, returnvalue} of a job that was there, what is absent being nil; otherwise what BullMQ's
 * script returns, the id of the job that it has added.
 */
const unlessThere = (script: string) => `
local job = KEYS[#KEYS]
if redis.call('EXISTS', job) == 1 then
  return redis.call('HMGET', job, 'timestamp', 'delay', 'finishedOn', 'data', 'returnvalue')
end
local function add(KEYS, ARGV)
${script}
end
return add(KEYS, ARGV)
`

type JobFields = [
  timestamp: string | null,
  delay: string | null,
  finishedOn: string | null,
  data: string | null,
  returnvalue: string | null,
]

/** A job that was there before. */
export interface JobBefore {
  /** Epoch milliseconds. */
  deadline: number
  isFinished: boolean
  /** It has cancelled the order. */
  hasCancelled: boolean
}

/** Adds jobs, and says which were there already. */
export class JobAddition {
  readonly #redis: Redis

  /** @param redis on which BullMQ has defined its scripts before the first job is added */
  constructor(redis: Redis) {
    this.#redis = redis
  }

  /**
   * Adds a job for each placement. They are sent together, before this returns.
   *
   * @param queue on the connection that was given
   * @returns what was there before, for each placement in order; undefined where its job is new, the error where Redis
   *   refuses this one
   */
  add(queue: Queue<JobData>, placements: readonly Placement[]): Promise<(JobBefore | Error | undefined)[]> {
    const { stream } = this.#redis
    stream.cork() // one packet
    const before = placements.map((placement) =>
      this.#addOne(queue, jobOf(placement)).catch((error: Error) => {
        if (redisErrorCode(error)) return error
        throw error
      }),
    )
    stream.uncork()
    return Promise.all(before)
  }

  async #addOne(queue: Queue<JobData>, job: NewJob): Promise<JobBefore | undefined> {
    const key = queue.toKey(job.id)
    const client = { runCommand: (name: string, args: ScriptArgument[]) => this.#runUnlessThere(name, args, key) }
    const reply: unknown = await queue
      .getBackend()
      .addJobToTransaction(client as unknown as RedisClient, job as NewJob & JobJson, job.id)
    if (!Array.isArray(reply)) return undefined
    const [timestamp, delay, finishedOn, data, returnvalue] = reply as JobFields
    return {
      deadline: deadlineOf(data) ?? Number(timestamp) + Number(delay),
      isFinished: finishedOn !== null,
      hasCancelled: finishedOn !== null && /"outcome":"cancelled"/.test(returnvalue ?? ''),
    }
  }

  #runUnlessThere(name: string, args: ScriptArgument[], key: string): Promise<unknown> {
    const own = `${name}:unless-there`
    const { lua, numberOfKeys } = scriptOf(this.#redis, name) as Script
    if (!scriptOf(this.#redis, own)) {
      this.#redis.defineCommand(own, { lua: unlessThere(lua), numberOfKeys: numberOfKeys + 1 })
    }
    const withKey = args.toSpliced(numberOfKeys, 0, key)
    const commands = this.#redis as unknown as Record<string, (args: unknown[]) => Promise<unknown>>
    const byClient = () => (commands[own] as (typeof commands)[string])([...withKey])
    return callScript(this.#redis, scriptOf(this.#redis, own) as Script, withKey, byClient)
  }
}

/** The deadline in the data of a job; undefined if it has none, or somebody has made it unreadable. */
export function deadlineOf(data: unknown): number | undefined {
  try {
    const value: unknown = typeof data === 'string' ? JSON.parse(data) : data
    const input = (value as { deadline?: unknown } | null)?.deadline
    return parseContractDeadline({ input, now: systemClock.now() })
  } catch {
    return undefined
  }
}
