import type { Redis } from 'ioredis'
import { bullMqScriptOf, scriptOf } from '../redis/scripts.ts'
import { type Addition, IF_THERE, type NewJob } from './addition.ts'
import type { OpenQueue } from './check-queue.ts'
import { JOB_NAME } from './contract.ts'
import { TRIM_EVENTS } from './event-stream.ts'

/** SHA-1 of those versions of BullMQ's script for one delayed job whose work {@link ADD} does for many. */
export const KNOWN_ADD_DELAYED_JOB: readonly string[] = ['81698fd2d28e7db1787595b3c464b188fa78bdcf']

const SCRIPT = 'order-expiry:add'

/**
 * Does for many jobs what BullMQ's `addDelayedJob` does for one, and leaves alone those that are there. Nothing is written before
 * the hash of the first job, which Redis refuses where it is full; what all jobs share is written once.
 *
 * KEYS marker, meta, id, delayed, events
 * ARGV prefix, name of the jobs, then for each job: id, data, options, when it was added, delay in ms
 * Returns for each job what `Addition` says
 */
const ADD = `
local call, pcall, tonumber = redis.call, redis.pcall, tonumber
local marker, meta, counter, delayed, events = unpack(KEYS)
local prefix, name = ARGV[1], ARGV[2]
${IF_THERE}
local keys, replies, scores, last_of, is_new, count = {}, {}, {}, {}, {}, 0
for at = 3, #ARGV, 5 do keys[#keys + 1] = prefix .. ARGV[at] end
local some_are_there = call('EXISTS', unpack(keys)) > 0

for n, key in ipairs(keys) do
  local at = 5 * n - 2
  local id, data, opts, timestamp, delay = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  replies[n] = (some_are_there or is_new[id]) and if_there(key) or nil
  if not replies[n] then
    -- BullMQ's getDelayedScore.
    local due = tonumber(timestamp) + tonumber(delay)
    local low, high = due * 0x1000, (due + 1) * 0x1000 - 1
    local last = last_of[due] or tonumber(call('ZREVRANGEBYSCORE', delayed, high, low, 'WITHSCORES', 'LIMIT', 0, 1)[2])
    local score = last and math.min(high, last + 1) or low
    local reply = pcall('HSET', key, 'name', name, 'data', data, 'opts', opts, 'timestamp', timestamp, 'delay', delay, 'priority', 0)
    if type(reply) == 'table' then
      if is_of_replica(reply.err) then return reply end
      replies[n] = reply
    else
      call('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', name)
      call('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', due)
      scores[2 * count + 1], scores[2 * count + 2] = score, id
      last_of[due], is_new[id], count, replies[n] = score, true, count + 1, 0
    end
  end
end

if count > 0 then
  call('ZADD', delayed, unpack(scores))
  call('INCRBY', counter, count)
  ${TRIM_EVENTS}
  call('ZADD', marker, tonumber(call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]) / 0x1000, '1')
end
return replies
`

/** Whether {@link batchAddition} is for the BullMQ that has defined its scripts on this client. Defines ours there, if it is. */
export function canAddInBatch(client: Redis): boolean {
  if (scriptOf(client, SCRIPT)) return true
  if (!KNOWN_ADD_DELAYED_JOB.includes(bullMqScriptOf(client, 'addDelayedJob')?.sha ?? '')) return false
  client.defineCommand(SCRIPT, { lua: ADD, numberOfKeys: 5 })
  return true
}

/** Adds delayed jobs by {@link ADD}. */
export function batchAddition({ keys }: OpenQueue, jobs: readonly NewJob[]): Addition {
  const { marker, meta, id, delayed, stream, job } = keys
  const args: (string | number)[] = [marker, meta, id, delayed, stream, job(''), JOB_NAME]
  for (const { id, data, timestamp, opts } of jobs) args.push(id, data, optionsText(opts), timestamp, opts.delay)
  return { jobs, script: SCRIPT, args }
}

/** As BullMQ writes them. */
function optionsText({ delay, telemetry }: NewJob['opts']): string {
  return telemetry ? JSON.stringify({ delay, tm: telemetry.metadata }) : `{"delay":${delay}}`
}
