import type { IRedisClient } from 'bullmq'
import type { NamedQueue } from '../../redis/keys.ts'
import { JOB_NAME } from '../contract.ts'
import { LEFT_BEHIND_PRIORITY } from '../left-behind.ts'
import { NOTES_KEPT } from '../view/check-notes.ts'
import {
  asClaim,
  asRefusals,
  type Claim,
  type Claims,
  type CompletedJob,
  type FailedJob,
  LUA,
  type PutBackJob,
  pairsOf,
  type Refusal,
} from './claims.ts'

/** BullMQ's own scripts that are run for many jobs in one call, and how many keys each of them is given. */
export const WRAPPED = { moveToActive: 11, moveToFinished: 14, moveToDelayed: 11, moveStalledJobsToWait: 9 } as const
export type BullMqScripts = Readonly<Record<keyof typeof WRAPPED, string>>

/** Claims go slowly where those that were left behind have all the room that they may have: BullMQ gives whatever is next. */
const CROWDED_MS = 50
/** Jobs ended or put back by one script: by BullMQ's own, Redis works on so many for 2 to 4 ms. */
const MOST_AT_ONCE = 75
/** Stalling says something about workers, never about the order, so it must not fail its job. */
const MAX_STALLED = 1_000_000

/** In Lua: a function that runs one of BullMQ's unchanged scripts. */
const one = (script: string) => `local function one(KEYS, ARGV)\n${script}\nend`

/** In Lua: the keys of this script as a table that may be changed. */
const KEYS_COPIED = 'local keys = {}\nfor n = 1, #KEYS do keys[n] = KEYS[n] end'

/** In Lua: at these BullMQ's script would stop when it has taken all that are due out of the delayed ones, and lose them. */
const WITHOUT_STRANGERS = `
for _, id in ipairs(call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)) do
  local priority = redis.pcall('HGET', prefix .. id, 'priority')
  if type(priority) == 'table' then
    if not ${LUA.isStranger('priority')} then call('HGET', prefix .. id, 'priority') end -- fails likewise, and takes no job
    call('ZREM', delayed, id)
    strangers[#strangers + 1] = id
  elseif priority and tonumber(priority) ~= tonumber(priority) then -- nan is a number to Lua, and none to Redis
    call('HSET', prefix .. id, 'priority', 0)
  end
end`

/**
 * KEYS those of moveToActive: wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, marker; receipt
 * ARGV prefix, token, lock in ms, most jobs, most of those with the last priority, the name of our jobs, the last priority
 * Returns what `asClaim` reads
 */
const claimBy = (moveToActive: string) => `
${one(moveToActive)}
local call, wait, active, stalled, delayed, meta, receipt = redis.call, KEYS[1], KEYS[2], KEYS[5], KEYS[7], KEYS[9], KEYS[12]
local prefix, token, lock_ms, job_name, last_priority = ARGV[1], ARGV[2], ARGV[3], ARGV[6], ARGV[7]
local most, most_last = tonumber(ARGV[4]), tonumber(ARGV[5])
${LUA.now}
${LUA.isPlain}
${LUA.claimedBefore}
local strangers, plain, special, last = {}, {}, {}, 0
${WITHOUT_STRANGERS}
-- Whatever stops BullMQ's script, it leaves active, in front, and with no worker.
local function mend()
  local id = call('LINDEX', active, 0)
  local key = prefix .. (id or '')
  local kind = call('TYPE', key).ok
  if kind == 'none' or (kind == 'hash' and string.match(call('HGET', key, 'ats') or '0', '^%-?%d+$')) then return false end
  call('LREM', active, 1, id)
  call('SREM', stalled, id)
  call('DEL', key .. ':lock')
  if kind == 'hash' then
    call('HDEL', key, 'ats')
    call('RPUSH', wait, id)
  else
    strangers[#strangers + 1] = id
  end
  return true
end

${KEYS_COPIED}
local args = {prefix, now_text, cmsgpack.pack({token = token, lockDuration = tonumber(lock_ms)})}
local count, next, limited_ms, failure = 0, '0', 0, nil
while count < most and next == '0' and limited_ms == 0 and not failure do
  local is_done, reply = pcall(one, keys, args)
  if not is_done then
    if not mend() then failure = reply end
  elseif type(reply[1]) ~= 'table' then
    local due = tonumber(reply[4]) or 0
    next = due > 0 and string.format('%.0f', math.floor(due)) or ''
    limited_ms = tonumber(reply[3]) or 0
  else
    count = count + 1
    local of, at = {}, #plain
    for n = 1, #reply[1], 2 do of[reply[1][n]] = reply[1][n + 1] end
    if of.ats == '1' and is_plain(of) then
      plain[at + 1], plain[at + 2], plain[at + 3], plain[at + 4] = reply[2], of.data, of.opts or '', of.timestamp or ''
    else
      special[#special + 1] = reply[2]
      special[#special + 1] = reply[1]
    end
    if of.priority == last_priority then last = last + 1 end
    if of.priority == last_priority and last >= most_last then limited_ms = ${CROWDED_MS} end
  end
end
if failure and count + #strangers == 0 then return failure.err and failure or redis.error_reply(failure) end
sign()
local is_held = call('HEXISTS', meta, 'concurrency') == 1 or (next == '' and call('LLEN', wait) > 0)
return {now_exact, next, limited_ms, is_held and 1 or 0, strangers, #plain > 0 and cjson.encode(plain) or '[]', special}
`

/**
 * KEYS those of moveToFinished: wait, active, prioritized, events, stalled, limiter, delayed, paused, meta, pc, completed or failed,
 * the job, metrics, marker
 * ARGV prefix, token, `completed` or `failed`, the name of the value, then for each job: id, value, attempts, JSON of those of its
 * options that say what becomes of its parent, its stack or ''
 * Returns id, code, … of those that could not be ended
 */
const finishBy = (moveToFinished: string) => `
${one(moveToFinished)}
local prefix, token, state, property = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
${LUA.now}
${KEYS_COPIED}
local refused = {}
for at = 5, #ARGV, 5 do
  local id, how, fields = ARGV[at], cjson.decode(ARGV[at + 3]), ''
  keys[12] = prefix .. id
  how.token, how.keepJobs, how.attempts, how.maxMetricsSize = token, {count = -1}, tonumber(ARGV[at + 2]), ''
  if ARGV[at + 4] ~= '' then fields = cmsgpack.pack({'failedReason', ARGV[at + 1], 'stacktrace', ARGV[at + 4]}) end
  local code = one(keys, {id, now_text, property, ARGV[at + 1], state, '0', prefix, cmsgpack.pack(how), fields})
  if type(code) == 'number' and code < 0 and not ${LUA.isEnded('KEYS[11]', 'id', 'code')} then
    refused[#refused + 1] = id
    refused[#refused + 1] = code
  end
end
return refused
`

/**
 * KEYS those of moveToDelayed: marker, active, prioritized, delayed, the job, events, meta, stalled, wait, limiter, pc
 * ARGV prefix, token, how many notes are kept, then for each job: id, when it is due, priority, data or '' for any, note, why it failed, 1 if it did
 * Returns {id, code, … of those that could not be put back; id, data, … of those whose data is another one by now}
 */
const putBackBy = (moveToDelayed: string) => `
${one(moveToDelayed)}
local call, prefix, token, notes_kept, delayed = redis.call, ARGV[1], ARGV[2], ARGV[3], KEYS[4]
${LUA.now}
${KEYS_COPIED}
local refused, changed = {}, {}
for at = 4, #ARGV, 7 do
  local id, has_failed = ARGV[at], ARGV[at + 6] == '1'
  keys[5] = prefix .. id
  local data = call('HGET', keys[5], 'data')
  if call('GET', keys[5] .. ':lock') == token and data and ARGV[at + 3] ~= '' and data ~= ARGV[at + 3] then
    changed[#changed + 1] = id
    changed[#changed + 1] = data
  else
    local fields = {'priority', ARGV[at + 2]}
    if has_failed then fields = {'priority', ARGV[at + 2], 'failedReason', ARGV[at + 5]} end
    local delay = string.format('%.0f', math.max(0, math.ceil(ARGV[at + 1] - now)))
    local code = one(keys, {prefix, now_text, id, token, delay, has_failed and '0' or '1', cmsgpack.pack(fields), '0', ''})
    if code == 0 then
      call('RPUSH', keys[5] .. ':logs', ARGV[at + 4])
      call('LTRIM', keys[5] .. ':logs', -notes_kept, -1)
    elseif not ${LUA.isEnded('delayed', 'id', 'code')} then
      refused[#refused + 1] = id
      refused[#refused + 1] = code
    end
  end
end
return {refused, changed}
`

/**
 * KEYS those of moveStalledJobsToWait: stalled, wait, active, stalled-check, meta, paused, marker, events, repeat
 * ARGV prefix, pause between two looks in ms
 * Returns {the ids of jobs that were put back, strangers}
 */
const putStalledBackBy = (moveStalledJobsToWait: string) => `
${one(moveStalledJobsToWait)}
local call, stalled, active, prefix, strangers = redis.call, KEYS[1], KEYS[3], ARGV[1], {}
${LUA.now}
-- Whatever would stop BullMQ's script: it would leave the job in no list.
for _, id in ipairs(call('EXISTS', KEYS[4]) == 0 and call('SMEMBERS', stalled) or {}) do
  local key = prefix .. id
  local kind = call('TYPE', key).ok
  if kind == 'hash' then
    if not string.match(call('HGET', key, 'stc') or '0', '^%-?%d+$') then call('HDEL', key, 'stc') end
  elseif kind ~= 'none' then
    call('SREM', stalled, id)
    if call('LREM', active, 0, id) > 0 then strangers[#strangers + 1] = id end
  end
end
return {one(KEYS, {'${MAX_STALLED}', prefix, now_text, ARGV[2]}), strangers}
`

/**
 * {@link Claims} by BullMQ's own scripts, text unchanged, each run for many jobs within one call and by the clock of Redis. What
 * is where in the keys only they know; here is only which arguments BullMQ gives them.
 */
export class WrappedClaims implements Claims {
  readonly #client: IRedisClient
  readonly #queue: NamedQueue
  readonly #lockMs: number
  readonly #workerId: string

  constructor(options: {
    client: IRedisClient
    scripts: BullMqScripts
    queue: NamedQueue
    lockMs: number
    workerId: string
  }) {
    this.#client = options.client
    this.#queue = options.queue
    this.#lockMs = options.lockMs
    this.#workerId = options.workerId
    const { moveToActive, moveToFinished, moveToDelayed, moveStalledJobsToWait } = options.scripts
    this.define({
      claim: { numberOfKeys: 12, lua: claimBy(moveToActive) },
      finish: { numberOfKeys: 14, lua: finishBy(moveToFinished) },
      putBack: { numberOfKeys: 11, lua: putBackBy(moveToDelayed) },
      putStalledBack: { numberOfKeys: 9, lua: putStalledBackBy(moveStalledJobsToWait) },
    })
  }

  protected define(scripts: Readonly<Record<string, { numberOfKeys: number; lua: string }>>): void {
    for (const [name, script] of Object.entries(scripts)) this.#client.defineCommand(`order-expiry:${name}`, script)
  }

  protected run(name: string, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.#client.runCommand(`order-expiry:${name}`, [...keys, this.#queue.keys.job(''), ...args])
  }

  async claim({ token, most, mostLast }: Parameters<Claims['claim']>[0]): Promise<Claim> {
    const { wait, active, prioritized, stream, stalled, limiter, delayed, paused, meta, pc, marker } = this.#queue.keys
    const receipt = this.#queue.keys.receipt(this.#workerId)
    const keys = [wait, active, prioritized, stream, stalled, limiter, delayed, paused, meta, pc, marker, receipt]
    return asClaim(await this.run('claim', keys, [token, this.#lockMs, most, mostLast, JOB_NAME, LEFT_BEHIND_PRIORITY]))
  }

  async complete(token: string, jobs: readonly CompletedJob[]): Promise<Refusal[]> {
    const keys = this.keysOfEnd('completed')
    const refused: Refusal[] = []
    for (const some of portionsOf(jobs)) {
      const args = some.flatMap(({ id, returnvalue, attemptsMade }) => [id, returnvalue, attemptsMade, '{}', ''])
      const answer = await this.run('finish', keys, [token, 'completed', 'returnvalue', ...args])
      refused.push(...asRefusals(answer as string[]))
    }
    return refused
  }

  async fail(token: string, { id, failedReason, stacktrace, attempts, opts }: FailedJob): Promise<Refusal[]> {
    const { fpof, cpof, idof, rdof } = opts
    const ofParent = JSON.stringify({ fpof: !!fpof, cpof: !!cpof, idof: !!idof, rdof: !!rdof })
    const args = [token, 'failed', 'failedReason', id, failedReason, attempts, ofParent, stacktrace]
    return asRefusals((await this.run('finish', this.keysOfEnd('failed'), args)) as string[])
  }

  protected keysOfEnd(state: 'completed' | 'failed'): string[] {
    const { wait, active, prioritized, stream, stalled, limiter, delayed, paused, meta, pc, marker } = this.#queue.keys
    const { [state]: ended, job } = this.#queue.keys
    const ofQueue = [wait, active, prioritized, stream, stalled, limiter, delayed, paused, meta, pc]
    return [...ofQueue, ended, job(''), job(`metrics:${state}`), marker]
  }

  async putBack(token: string, jobs: readonly PutBackJob[]): ReturnType<Claims['putBack']> {
    const { marker, active, prioritized, delayed, stream, meta, stalled, wait, limiter, pc, job } = this.#queue.keys
    const keys = [marker, active, prioritized, delayed, job(''), stream, meta, stalled, wait, limiter, pc]
    const all: Awaited<ReturnType<Claims['putBack']>> = { refused: [], changed: [] }
    for (const some of portionsOf(jobs)) {
      const args = some.flatMap(({ id, dueAt, priority, data, note, failedReason = '' }) => {
        return [id, dueAt, priority, data, note, failedReason, failedReason === '' ? 0 : 1]
      })
      const [refused, changed] = (await this.run('putBack', keys, [token, NOTES_KEPT, ...args])) as [string[], string[]]
      all.refused.push(...asRefusals(refused))
      all.changed.push(...pairsOf(changed))
    }
    return all
  }

  async putStalledBack({ everyMs }: { everyMs: number }): Promise<string[]> {
    const { stalled, wait, active, stalledCheck, meta, paused, marker, stream, repeat } = this.#queue.keys
    const keys = [stalled, wait, active, stalledCheck, meta, paused, marker, stream, repeat]
    const [, strangers] = (await this.run('putStalledBack', keys, [everyMs])) as [string[], string[]]
    return strangers
  }
}

/** Others get their turn between them. */
function* portionsOf<Job>(jobs: readonly Job[]): Generator<readonly Job[]> {
  for (let from = 0; from < jobs.length; from += MOST_AT_ONCE) yield jobs.slice(from, from + MOST_AT_ONCE)
}
