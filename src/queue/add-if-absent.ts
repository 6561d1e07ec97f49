import type { JobJson, RedisClient } from 'bullmq'
import type { Redis } from 'ioredis'
import { callScript, type Script, type ScriptArgument, scriptOf } from '../redis/fast-scripts.ts'
import { redisErrorCode } from '../redis/reply.ts'
import type { OpenQueue } from './check-queue.ts'
import { deadlineOf, jobOf, type Placement } from './contract.ts'

/**
 * BullMQ does not say whether a job id existed. So this wraps its unchanged script that adds a job, and checks first:
 * of clients that add the same order at the same moment, exactly one wins.
 *
 * KEYS, ARGV: those of BullMQ's script, and as the last key the hash of the job
 * Returns {timestamp, opts, finishedOn, data, returnvalue} of a job that was there, what is absent being nil; otherwise what BullMQ's
 * script returns, the id of the job that it has added.
 */
const unlessThere = (script: string) => `
local job = KEYS[#KEYS]
if redis.call('EXISTS', job) == 1 then
  return redis.call('HMGET', job, 'timestamp', 'opts', 'finishedOn', 'data', 'returnvalue')
end
local function add(KEYS, ARGV)
${script}
end
return add(KEYS, ARGV)
`

/** A job that was there before. */
export interface JobBefore {
  /** Epoch milliseconds. */
  deadline: number
  /** When it was asked for; epoch milliseconds. */
  placedAt: number
  isFinished: boolean
  /** When it has cancelled the order, if it has: ISO 8601. */
  cancelledAt?: string | undefined
}

/**
 * Adds a job for each placement. They are sent together, before this returns.
 *
 * @returns what was there before, for each placement in order; undefined where its job is new, the error where Redis
 *   refuses this one
 */
export function addIfAbsent(
  { queue, redis, keys }: OpenQueue,
  placements: readonly Placement[],
): Promise<(JobBefore | Error | undefined)[]> {
  const backend = queue.getBackend()
  const replies: Promise<JobBefore | Error | undefined>[] = []
  redis.stream.cork() // one packet
  for (const placement of placements) {
    const job = jobOf(placement)
    const client = clientFor(redis, keys.job(job.id)) as unknown as RedisClient
    replies.push(backend.addJobToTransaction(client, job as typeof job & JobJson, job.id).then(asJobBefore, asRefusal))
  }
  redis.stream.uncork()
  return Promise.all(replies)
}

/** What BullMQ runs its script on, so that it runs within ours. */
function clientFor(redis: Redis, jobKey: string) {
  return {
    runCommand(name: string, args: ScriptArgument[]): Promise<unknown> {
      const own = `${name}:unless-there`
      const script = scriptOf(redis, own) ?? define(redis, own, scriptOf(redis, name) as Script)
      const withKey = args.toSpliced(script.numberOfKeys - 1, 0, jobKey)
      const commands = redis as unknown as Record<string, (args: unknown[]) => Promise<unknown>>
      const byClient = () => (commands[own] as (typeof commands)[string])([...withKey])
      return callScript(redis, script, withKey, byClient)
    },
  }
}

function define(redis: Redis, own: string, { lua, numberOfKeys }: Script): Script {
  redis.defineCommand(own, { lua: unlessThere(lua), numberOfKeys: numberOfKeys + 1 })
  return scriptOf(redis, own) as Script
}

function asJobBefore(reply: unknown): JobBefore | undefined {
  if (!Array.isArray(reply)) return undefined
  const [added, opts, finishedOn, data, returnvalue] = reply as (string | null)[]
  const timestamp = Number(added)
  return {
    deadline: deadlineOf({ data, timestamp, opts }) ?? timestamp,
    placedAt: timestamp,
    isFinished: finishedOn != null,
    cancelledAt: /"outcome":"cancelled".*"decidedAt":"([^"]+)"/.exec(returnvalue ?? '')?.[1],
  }
}

function asRefusal(error: Error): Error {
  if (redisErrorCode(error)) return error
  throw error
}
