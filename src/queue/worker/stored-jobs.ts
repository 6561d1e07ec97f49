import type { IRedisClient, Job, JobJson } from 'bullmq'
import { isRedisRejection } from '../../redis/reply.ts'
import { UnreadableData, whyUnreadable, whyUnreadablePart } from '../unreadable-data.ts'

/** BullMQ's scripts that bring a job, as {[fields and values of its hash], its id, …}. */
const FETCHING = /^moveTo(Active|Finished|Delayed):/
/** Fields that BullMQ's scripts count in. */
const COUNTERS = new Set(['ats', 'atm', 'attemptsMade', 'stc'])
/** Fields that stop BullMQ's scripts, so that the job could not even fail. */
const STOPPING = new Set([...COUNTERS, 'parent', 'id'])
/** BullMQ's script that puts back the jobs of workers that are gone. */
const STALLED = /^moveStalledJobsToWait:/
/** Which active jobs may have stopped a script that fetches, the newest being the first, and which are the oldest. */
const NEWEST = [0, 999] as const
const OLDEST = [-1_000, -1] as const

/**
 * Mends active jobs that stop BullMQ's scripts: those that fetch leave them active, and with no worker; the one that looks for
 * stalled jobs leaves them in no list.
 *
 * KEYS[1] active list  KEYS[2] wait list  KEYS[3] stalled set  KEYS[4] marker
 * ARGV[1] what the key of a job begins with  ARGV[2], ARGV[3] which of the active jobs to look at
 * Returns {how many were mended, the ids of those whose key is no job at all, which are in no list any more}. A job loses a
 * count that is no number; where that was the count of its starts, it has not been started, and is the next to be fetched
 */
const MEND = {
  name: 'order-expiry:mend-jobs',
  numberOfKeys: 4,
  lua: `
local function is_number(count) return not count or string.match(count, '^%-?%d+$') end
local function free(id)
  redis.call('LREM', KEYS[1], 0, id)
  redis.call('SREM', KEYS[3], id)
  redis.call('DEL', ARGV[1] .. id .. ':lock')
end

local mended, strangers = 0, {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], ARGV[2], ARGV[3])) do
  local job = ARGV[1] .. id
  local kind = redis.call('TYPE', job).ok
  if kind == 'hash' then
    local starts, stalls = unpack(redis.call('HMGET', job, 'ats', 'stc'))
    if not is_number(stalls) then mended = mended + redis.call('HDEL', job, 'stc') end
    if not is_number(starts) then
      mended = mended + 1
      redis.call('HDEL', job, 'ats')
      free(id)
      redis.call('RPUSH', KEYS[2], id)
      redis.call('ZADD', KEYS[4], 0, '0')
    end
  elseif kind ~= 'none' then
    mended = mended + 1
    free(id)
    table.insert(strangers, id)
  end
end
return {mended, strangers}
`,
}

interface Options {
  /** The key of a part of the queue. */
  toKey: (part: string) => string
  /** Told of what is in the place of a job and is none; it is in no list any more. */
  onStranger: (jobId: string) => void
  /** Told when a job that would have stopped a script has been mended, or was a stranger. */
  onMended: () => void
}

/**
 * From now on, BullMQ gets only jobs from this client that it can read. It would throw over any other, not knowing which one it
 * has just made active, and leave that so for ever. What it cannot read is left out; {@link jobOf} says what it was.
 */
export function readAnyJob(client: IRedisClient, options: Options): void {
  client.defineCommand(MEND.name, MEND)
  const run = client.runCommand.bind(client)
  const mend = (which: typeof NEWEST | typeof OLDEST) => mendJobs({ run, which, ...options }).catch(() => {}) // it comes again
  client.runCommand = async (name, args: unknown[]) => {
    if (STALLED.test(name)) await mend(OLDEST)
    if (!FETCHING.test(name)) return run(name, args)
    try {
      const reply: unknown = await run(name, args)
      return isJobReply(reply) ? await readable(reply, { client, ...options }) : reply
    } catch (error) {
      if (isRedisRejection(error)) await mend(NEWEST)
      throw error
    }
  }
}

type JobReply = [flat: string[], jobId: string, ...rest: unknown[]]

function isJobReply(reply: unknown): reply is JobReply {
  return Array.isArray(reply) && Array.isArray(reply[0])
}

async function readable(reply: JobReply, { client, toKey }: Options & { client: IRedisClient }): Promise<JobReply> {
  const [flat, jobId, ...rest] = reply
  const bad = badFieldsOf(flat)
  if (bad.length === 0) return reply
  const stopping = bad.filter((field) => STOPPING.has(field))
  if (stopping.length > 0) await client.hdel(toKey(jobId), ...stopping)
  const fields = fieldsOf(flat)
  const why = bad.map((field) => whyUnreadablePart(field, fields[field] as string)).find((one) => one !== undefined)
  for (const field of bad) delete fields[field]
  if (why) fields.data = `${UNREADABLE}${why}\n${fields.data ?? ''}`
  return [Object.entries(fields).flat(), jobId, ...rest]
}

const NONE: readonly string[] = []

function badFieldsOf(flat: readonly string[]): readonly string[] {
  let bad = NONE
  for (let n = 0; n < flat.length; n += 2) {
    const field = flat[n] as string
    if (isBad(field, flat[n + 1] as string)) bad = [...bad, field]
  }
  return bad
}

function isBad(field: string, text: string): boolean {
  if (field === 'data') return false // most of what is on a job, and BullMQ parses it where jobOf can see
  if (field === 'id') return true // BullMQ would take it for the id of the job
  return COUNTERS.has(field) ? !/^-?\d+$/.test(text) : whyUnreadablePart(field, text) !== undefined
}

function fieldsOf(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let n = 0; n < flat.length; n += 2) fields[flat[n] as string] = flat[n + 1] as string
  return fields
}

async function mendJobs(
  mending: Options & { run: IRedisClient['runCommand']; which: readonly [number, number] },
): Promise<void> {
  const { run, which, toKey, onStranger, onMended } = mending
  const keys = ['active', 'wait', 'stalled', 'marker'].map(toKey)
  const [mended, strangers]: [number, string[]] = await run(MEND.name, [...keys, toKey(''), ...which])
  if (mended > 0) onMended()
  for (const jobId of strangers) onStranger(jobId)
}

/** Before the data of a job of which another part cannot be read: no JSON begins like this. */
const UNREADABLE = 'unreadable: '

/** The job that `make` makes. Where it cannot, the job has {@link UnreadableData}, and no options. */
export function jobOf(json: JobJson, make: (json: JobJson) => Job): Job {
  try {
    return make(json)
  } catch {
    const job = make({ ...json, data: '{}', opts: {} })
    job.data = unreadableDataOf(json.data)
    return job
  }
}

function unreadableDataOf(data: string): UnreadableData {
  const [first = '', ...rest] = data.startsWith(UNREADABLE) ? data.slice(UNREADABLE.length).split('\n') : []
  if (first) return new UnreadableData({ why: first, text: rest.join('\n') })
  return new UnreadableData({ why: whyUnreadable({ data }), text: data })
}
