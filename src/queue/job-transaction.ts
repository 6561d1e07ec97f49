import type { JobJson } from 'bullmq'
import { parseContractDeadline } from '../order/deadline.ts'
import { systemClock } from '../runtime/clock.ts'
import { redisErrorCode } from '../runtime/redis-reply.ts'
import type { OpenQueue } from './check-queue.ts'
import { jobOf, type NewJob, type Placement } from './contract.ts'

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
  isFinished: boolean
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
  const jobs = new Map<string, NewJob>()
  for (const placement of placements) {
    if (!jobs.has(placement.orderId)) jobs.set(placement.orderId, jobOf(placement))
  }
  const [find, ...adds] = await send(queues, [...jobs.values()])
  const [findError, found] = find ?? []
  if (findError) throw findError
  const forgotten: NewJob[] = []
  for (const [index, job] of [...jobs.values()].entries()) {
    const [error] = adds[index] ?? [new Error('a job is not in its transaction')]
    // Redis has forgotten BullMQ's script (SCRIPT FLUSH, a failover). Outside of a transaction, ioredis sends it again.
    if (redisErrorCode(error) === 'NOSCRIPT') forgotten.push(job)
    else if (error) throw error
  }
  const backend = queues.queue.getBackend()
  await Promise.all(forgotten.map((job) => backend.addJob(asJson(job), job.id)))
  return compare(placements, [...jobs.keys()], found as (number | JobFields)[])
}

/**
 * Sends the commands one by one, which the cork makes one packet: ioredis copies each of BullMQ's 60 scripts into a pipeline,
 * which takes as long as a round trip. No other command comes in between, as all are sent in one turn of the event loop.
 */
async function send({ queue, redis, client }: OpenQueue, jobs: readonly NewJob[]): Promise<[Error | null, unknown][]> {
  const backend = queue.getBackend()
  const keys = jobs.map(({ id }) => queue.toKey(id))
  let refused: unknown
  const onRefused = (error: unknown) => {
    refused ??= error
  }
  redis.stream.cork()
  redis.multi({ pipeline: false }).catch(onRefused)
  // Not by its hash: Redis may have forgotten the script, which within a transaction cannot be made good.
  redis.eval(FIND_JOBS, keys.length, ...keys).catch(onRefused)
  for (const job of jobs) backend.addJobToTransaction(client, asJson(job), job.id).catch(onRefused)
  const replies = redis.exec()
  redis.stream.uncork()
  try {
    return (await replies) ?? []
  } catch (error) {
    throw refused ?? error // of the transaction Redis only says that it was discarded
  }
}

/** BullMQ reads no more of a job that it adds. */
function asJson(job: NewJob): JobJson {
  return job as NewJob & JobJson
}

function compare(
  placements: readonly Placement[],
  orderIds: readonly string[],
  found: readonly (number | JobFields)[],
): (JobBefore | undefined)[] {
  const before = new Map<string, JobBefore>()
  for (let n = 0; n < found.length; n += 2) {
    const [timestamp, delay, finishedOn, data] = found[n + 1] as JobFields
    const deadline = deadlineOf(data) ?? Number(timestamp) + Number(delay)
    before.set(orderIds[(found[n] as number) - 1] as string, { deadline, isFinished: finishedOn !== null })
  }
  return placements.map(({ orderId, deadline }) => {
    const job = before.get(orderId)
    if (!job) before.set(orderId, { deadline, isFinished: false }) // for the same order, further down
    return job
  })
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
