import type { JobJson } from 'bullmq'
import { parseContractDeadline } from '../order/deadline.ts'
import { systemClock } from '../runtime/clock.ts'
import { redisErrorCode } from '../runtime/redis-reply.ts'
import type { OpenQueue } from './check-queue.ts'
import { jobIdOf, jobOf, type NewJob, type Placement } from './contract.ts'

/**
 * Finds the jobs that are there already.
 *
 * KEYS: the hash of each job
 * Returns, for each that exists, its number from 1 and {timestamp, delay, finishedOn, data}; what is absent is nil.
 */
const FIND_JOBS = `
local found = {}
if redis.call('EXISTS', unpack(KEYS)) == 0 then return found end
for i, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then
    found[#found + 1] = i
    found[#found + 1] = redis.call('HMGET', key, 'timestamp', 'delay', 'finishedOn', 'data')
  end
end
return found
`

type JobFields = [timestamp: string | null, delay: string | null, finishedOn: string | null, data: string | null]

/** A job that was there before. */
export interface JobBefore {
  /** Epoch milliseconds. */
  deadline: number
  /** Whether it must give way: its check has ended, or it is gone by now. */
  isOver: boolean
}

/**
 * Adds a job for each placement, in one transaction that is sent before this returns.
 *
 * BullMQ does not say whether a job id existed, so the jobs are looked for in the transaction that adds them: of clients
 * that add the same order at the same moment, exactly one finds nothing.
 *
 * @returns what was there before, for each placement in order; undefined where its job is new
 */
export async function addInTransaction(
  queues: OpenQueue,
  placements: readonly Placement[],
): Promise<(JobBefore | undefined)[]> {
  const jobs = placements.map(jobOf)
  const replies = await send(queues, jobs)
  const [findError, found] = replies[0] ?? []
  if (findError) throw findError
  const forgotten: NewJob[] = []
  for (let n = 0; n < jobs.length; n++) {
    const error = replies[n + 1]?.[0]
    if (error === null) continue
    // Redis has forgotten BullMQ's script (SCRIPT FLUSH, a failover). Outside of a transaction, ioredis sends it again.
    if (redisErrorCode(error) === 'NOSCRIPT') forgotten.push(jobs[n] as NewJob)
    else throw error ?? new Error('a job is missing from its transaction')
  }
  if (forgotten.length > 0) {
    const backend = queues.queue.getBackend()
    await Promise.all(forgotten.map((job) => backend.addJob(asJson(job), job.id)))
  }
  if (found === 0) return [undefined]
  if (found === 1) return [await readJob(queues, placements[0] as Placement)]
  return compare(placements, found as (number | JobFields)[])
}

/**
 * Sends the commands one by one, which the cork makes one packet: ioredis copies each of BullMQ's 60 scripts into a pipeline,
 * which takes as long as a round trip. No other command comes in between, as all are sent in one turn of the event loop.
 */
function send({ queue, redis, client }: OpenQueue, jobs: readonly NewJob[]): Promise<[Error | null, unknown][]> {
  const backend = queue.getBackend()
  const keys = jobs.map(({ id }) => queue.toKey(id))
  let refused: unknown
  const onRefused = (error: unknown) => {
    refused ??= error
  }
  redis.stream.cork()
  redis.multi({ pipeline: false }).catch(onRefused)
  // Not by its hash: Redis may have forgotten the script, which within a transaction cannot be made good.
  const find = keys.length === 1 ? redis.exists(keys) : redis.eval(FIND_JOBS, keys.length, ...keys)
  find.catch(onRefused)
  for (const job of jobs) backend.addJobToTransaction(client, asJson(job), job.id).catch(onRefused)
  const replies = redis.exec() as Promise<[Error | null, unknown][]>
  redis.stream.uncork()
  return replies.catch((error: unknown) => {
    throw refused ?? error // of the transaction Redis only says that it was discarded
  })
}

/** BullMQ reads no more of a job that it adds. */
function asJson(job: NewJob): JobJson {
  return job as NewJob & JobJson
}

/** A single order is most often new: what there is of its job is not read before it is known to be there. */
async function readJob({ queue, redis }: OpenQueue, { orderId, deadline }: Placement): Promise<JobBefore> {
  const [, fields] = (await redis.eval(FIND_JOBS, 1, queue.toKey(jobIdOf(orderId)))) as [number, JobFields] | []
  return fields ? jobBefore(fields) : { deadline, isOver: true }
}

function compare(placements: readonly Placement[], found: readonly (number | JobFields)[]): (JobBefore | undefined)[] {
  const before: (JobBefore | undefined)[] = new Array(placements.length).fill(undefined)
  for (let n = 0; n < found.length; n += 2) {
    before[(found[n] as number) - 1] = jobBefore(found[n + 1] as JobFields)
  }
  const first = new Map<string, number>()
  for (const [n, { orderId, deadline }] of placements.entries()) {
    const same = first.get(orderId)
    if (same === undefined) first.set(orderId, deadline)
    else before[n] ??= { deadline: same, isOver: false }
  }
  return before
}

function jobBefore([timestamp, delay, finishedOn, data]: JobFields): JobBefore {
  return { deadline: deadlineOf(data) ?? Number(timestamp) + Number(delay), isOver: finishedOn !== null }
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
