import type { JobJson, Queue, RedisClient } from 'bullmq'
import { type Script, type ScriptArgument, scriptOf } from '../redis/scripts.ts'
import { runsOf } from '../runtime/runs.ts'
import { type Addition, IF_THERE, type NewJob } from './addition.ts'
import type { OpenQueue } from './check-queue.ts'

/**
 * Runs BullMQ's unchanged script that adds a job for each of those that are not there.
 *
 * KEYS those of BullMQ's script
 * ARGV prefix, how many arguments BullMQ's script has, then for each job: id, those arguments
 * Returns for each job what `Addition` says
 */
const addMany = (script: string) => `
local function one(KEYS, ARGV)
${script}
end
local prefix, width = ARGV[1], tonumber(ARGV[2])
${IF_THERE}
local keys, replies = {}, {}
for n, key in ipairs(KEYS) do keys[n] = key end
for at = 3, #ARGV, width + 1 do
  local reply, is_done = if_there(prefix .. ARGV[at]), true
  if not reply then
    local args = {}
    for n = 1, width do args[n] = ARGV[at + n] end
    is_done, reply = pcall(one, keys, args)
  end
  if not is_done then
    if type(reply) ~= 'table' then reply = redis.error_reply(reply) end
    if is_of_replica(reply.err) then return reply end
  end
  replies[#replies + 1] = reply
end
return replies
`

/** Adds jobs by BullMQ's own scripts, whatever its version: most often they are all for the same one. */
export function wrappedAdditions(open: OpenQueue, jobs: readonly NewJob[]): Addition[] {
  const calls = jobs.map((job) => ({ job, ...callOf(open.queue, job) }))
  return runsOf(calls, ({ script }) => script).map((run) => additionOf(open, run))
}

/** What BullMQ calls, and with what, to add a job. */
type BullMqCall = Pick<Addition, 'script' | 'args'>

function callOf(queue: Queue, job: NewJob): BullMqCall {
  let call: BullMqCall | undefined
  const client = {
    async runCommand(script: string, args: ScriptArgument[]) {
      call = { script, args }
    },
  }
  void queue.getBackend().addJobToTransaction(client as unknown as RedisClient, job as NewJob & JobJson, job.id)
  if (!call) throw new Error('expected BullMQ to add a job by one script, at once')
  return call
}

function additionOf({ redis, keys }: OpenQueue, calls: readonly (BullMqCall & { job: NewJob })[]): Addition {
  const { script: name, args: first } = calls[0] as BullMqCall
  const { lua, numberOfKeys } = scriptOf(redis, name) as Script
  const script = `order-expiry:${name}`
  if (!scriptOf(redis, script)) redis.defineCommand(script, { lua: addMany(lua), numberOfKeys })
  const args = [...first.slice(0, numberOfKeys), keys.job(''), first.length - numberOfKeys]
  for (const call of calls) args.push(call.job.id, ...call.args.slice(numberOfKeys))
  return { jobs: calls.map(({ job }) => job), script, args }
}
