import { redisErrorCode } from '../redis/reply.ts'
import { runScript } from '../redis/scripts.ts'
import { runsOf } from '../runtime/runs.ts'
import type { Addition, NewJob } from './addition.ts'
import { batchAddition, canAddInBatch } from './batch-addition.ts'
import type { OpenQueue } from './check-queue.ts'
import { deadlineOf, jobOf, type Placement } from './contract.ts'
import { wrappedAdditions } from './wrapped-addition.ts'

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
export async function addIfAbsent(
  open: OpenQueue,
  placements: readonly Placement[],
): Promise<(JobBefore | Error | undefined)[]> {
  const replies: Promise<unknown[]>[] = []
  for (const { jobs, script, args } of additionsOf(open, placements.map(jobOf))) {
    const reply = runScript(open.redis, script, args) as Promise<unknown[]>
    replies.push(reply.catch((error) => refuseEach(jobs, error)))
  }
  return (await Promise.all(replies)).flat().map(asJobBefore)
}

/** In the order of the list, in which an order may be twice. */
function additionsOf(open: OpenQueue, jobs: readonly NewJob[]): Addition[] {
  const canBatch = canAddInBatch(open.redis)
  const isForBatch = ({ opts }: NewJob) => canBatch && opts.delay > 0
  return runsOf(jobs, isForBatch).flatMap((run) =>
    isForBatch(run[0] as NewJob) ? batchAddition(open, run) : wrappedAdditions(open, run),
  )
}

function refuseEach(jobs: readonly NewJob[], error: Error): Error[] {
  if (!redisErrorCode(error)) throw error
  return jobs.map(() => error)
}

function asJobBefore(reply: unknown): JobBefore | Error | undefined {
  if (!Array.isArray(reply)) return reply instanceof Error ? reply : undefined
  const [added, opts, finishedOn, data, returnvalue] = reply as (string | null)[]
  const timestamp = Number(added)
  return {
    deadline: deadlineOf({ data, timestamp, opts }) ?? timestamp,
    placedAt: timestamp,
    isFinished: finishedOn != null,
    cancelledAt: /"outcome":"cancelled".*"decidedAt":"([^"]+)"/.exec(returnvalue ?? '')?.[1],
  }
}
