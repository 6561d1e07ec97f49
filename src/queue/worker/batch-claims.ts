import { TRIM_EVENTS } from '../event-stream.ts'
import { asRefusals, type CompletedJob, LUA, type Refusal } from './claims.ts'
import { WrappedClaims } from './wrapped-claims.ts'

/** A job of a flow, maybe since after it was claimed, or one that is deduplicated: BullMQ's own script ends it. */
const LINKED = 0

/**
 * Scripts of our own on BullMQ's keys: they do to many jobs what BullMQ's `moveToActive` and `moveToFinished` do to one. First they
 * read. Then they put each job where it belongs before they take it from where it was: one that Redis refuses half-way loses no job.
 */
const SCRIPTS = {
  /** KEYS and ARGV as those of `WrappedClaims`; returns what `asClaim` reads */
  claim: {
    numberOfKeys: 12,
    lua: `
local call, wait, active, prioritized, events, limiter = redis.call, KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]
local delayed, meta, pc, marker, receipt = KEYS[7], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local prefix, token, lock_ms, job_name = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local most, most_last, last_score = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7]) * 0x100000000
${LUA.now}
${LUA.isPlain}
${LUA.claimedBefore}
local due_until = (now + 1) * 0x1000 - 1
local paused, concurrency, max, duration = unpack(call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration'))
local room, limited_ms, is_maxed = paused and 0 or most, 0, false
if concurrency then
  local left = math.max(0, concurrency - call('LLEN', active))
  is_maxed = left <= room
  room = math.min(room, left)
end
if max then
  local left = max - (call('GET', limiter) or 0)
  if left <= 0 then
    limited_ms = call('PTTL', limiter)
    if limited_ms == 0 then call('DEL', limiter) end
    if limited_ms > 0 then left = 0 else left, limited_ms = tonumber(max), 0 end
  end
  room = math.min(room, left)
end

local strangers, plain, special, count, limited = {}, {}, {}, 0, 0
local function read(id, jobs)
  local of = redis.pcall('HMGET', prefix .. id, 'name', 'data', 'opts', 'timestamp', 'priority', 'ats', 'atm', 'parentKey', 'parent', 'deid', 'rjk', 'defa', 'stc')
  if of.err then
    if not ${LUA.isStranger('of')} then call('HMGET', prefix .. id, 'name') end -- fails likewise, and takes no job
    strangers[#strangers + 1] = id
    return
  end
  jobs[#jobs + 1] = {
    id = id, key = prefix .. id, name = of[1], data = of[2], opts = of[3], timestamp = of[4], priority = of[5], ats = tonumber(of[6]),
    atm = of[7], parentKey = of[8], parent = of[9], deid = of[10], rjk = of[11], defa = of[12], stc = of[13],
  }
end
-- nan is a number to Lua, and none to Redis.
local function priority_of(job)
  local priority = tonumber(job.priority) or 0
  return priority == priority and priority or 0
end
local function lock(jobs)
  for _, job in ipairs(jobs) do call('SET', job.key .. ':lock', token, 'PX', lock_ms) end
end
local function make_active(jobs)
  if #jobs == 0 then return end
  local ids = {}
  for n, job in ipairs(jobs) do ids[n] = job.id end
  call('LPUSH', active, unpack(ids))
end
local function begin(job, is_delayed)
  local ats = (job.ats or 0) + 1
  if is_delayed then
    call('XADD', events, '*', 'event', 'waiting', 'jobId', job.id, 'prev', 'delayed')
    call('HSET', job.key, 'delay', 0, 'processedOn', now_text, 'ats', ats)
  else
    call('HSET', job.key, 'processedOn', now_text, 'ats', ats)
  end
  call('XADD', events, '*', 'event', 'active', 'jobId', job.id, 'prev', 'waiting')
  if ats == 1 and is_plain(job) then
    local at = #plain
    plain[at + 1], plain[at + 2], plain[at + 3], plain[at + 4] = job.id, job.data, job.opts or '', job.timestamp or ''
  else
    special[#special + 1] = job.id
    special[#special + 1] = call('HGETALL', job.key)
  end
  if max and not job.defa then limited = limited + 1 end
  count = count + 1
end

-- First the tail of wait, then those that are due, without the way by wait.
local tail, waiting, due, promoted, first = room > 0 and call('LRANGE', wait, -room, -1) or {}, {}, {}, {}, 0
for n = #tail, 1, -1 do
  if string.sub(tail[n], 1, 2) ~= '0:' then read(tail[n], waiting) end
end
local room_for_due = room > 0 and room - #waiting or most
local due_ids = room_for_due > 0 and call('ZRANGEBYSCORE', delayed, 0, due_until, 'LIMIT', 0, room_for_due) or {}
if #due_ids > 0 then first = call('ZCOUNT', delayed, '-inf', '(0') end
for _, id in ipairs(due_ids) do read(id, due) end
for n = #due, 1, -1 do
  if room == 0 or priority_of(due[n]) ~= 0 then table.insert(promoted, 1, table.remove(due, n)) end
end
-- What puts a job into a list comes last of what may be refused, and is followed by what takes it out of another.
lock(waiting)
lock(due)
for _, job in ipairs(promoted) do
  local priority = priority_of(job)
  call('HSET', job.key, 'delay', 0)
  call('XADD', events, '*', 'event', 'waiting', 'jobId', job.id, 'prev', 'delayed')
  if priority == 0 then
    call('LPUSH', wait, job.id)
  else
    call('ZADD', prioritized, priority * 0x100000000 + call('INCR', pc) % 0x100000000, job.id)
  end
end
make_active(waiting)
make_active(due)
if #tail > 0 then call('LTRIM', wait, 0, -#tail - 1) end
if #due_ids > 0 then call('ZREMRANGEBYRANK', delayed, first, first + #due_ids - 1) end
for _, job in ipairs(waiting) do begin(job, false) end
for _, job in ipairs(due) do begin(job, true) end

-- Those with a priority come last, after all that are due, and of those the ones that were left behind.
local has_left_behind = false
if count < room and #due_ids < room_for_due then
  local asked = room - count
  local found, jobs, taken, last = call('ZRANGE', prioritized, 0, asked - 1, 'WITHSCORES'), {}, 0, 0
  for n = 1, #found, 2 do
    if tonumber(found[n + 1]) >= last_score then
      has_left_behind = last == most_last
      last = last + 1
    end
    if has_left_behind then break end
    taken = taken + 1
    read(found[n], jobs)
  end
  lock(jobs)
  make_active(jobs)
  if taken > 0 then call('ZREMRANGEBYRANK', prioritized, 0, taken - 1) end
  if not has_left_behind and taken < asked then call('DEL', pc) end
  for _, job in ipairs(jobs) do begin(job, false) end
end
sign()
if limited > 0 and call('INCRBY', limiter, limited) == limited then
  call('PEXPIRE', limiter, math.floor(math.abs(duration or 0)))
end

local next = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2]
local is_more = call('EXISTS', wait) == 1 or (not has_left_behind and call('EXISTS', prioritized) == 1)
  or (next and tonumber(next) <= due_until)
if limited_ms > 0 or paused or (is_maxed and count == room) then next, is_more = nil, false end
-- Whoever else sleeps is woken where something is left for him.
if is_more then call('ZADD', marker, 0, '0') end
local next_ms = is_more and '0' or next and string.format('%.0f', math.floor(next / 0x1000)) or ''
return {now_exact, next_ms, limited_ms, (has_left_behind or concurrency) and 1 or 0, strangers, #plain > 0 and cjson.encode(plain) or '[]', special}
`,
  },
  /**
   * KEYS as those of `WrappedClaims`; ARGV prefix, token, JSON of an array: for each job its id, return value, attempts made
   * Returns id, code, … of those that could not be ended; 0: it is linked
   */
  complete: {
    numberOfKeys: 14,
    lua: `
local call, wait, active, prioritized, events, stalled = redis.call, KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local meta, completed, prefix, token = KEYS[9], KEYS[11], ARGV[1], ARGV[2]
${LUA.now}
local jobs, locks, children = {}, {}, {}
local told = cjson.decode(ARGV[3])
for at = 1, #told, 3 do
  local n, key = #jobs + 1, prefix .. told[at]
  jobs[n] = {id = told[at], key = key, value = told[at + 1], atm = told[at + 2]}
  locks[n], children[2 * n - 1], children[2 * n] = key .. ':lock', key .. ':dependencies', key .. ':unsuccessful'
end
local holders, has_children = call('MGET', unpack(locks)), call('EXISTS', unpack(children)) > 0
local refused, ours, ids, is_wanted = {}, {}, {}, {}
local function refuse(id, code)
  refused[#refused + 1] = id
  refused[#refused + 1] = code
end
for n, job in ipairs(jobs) do
  local of = redis.pcall('HMGET', job.key, 'processedOn', 'parentKey', 'deid')
  local code = (of.err or not of[1]) and -1
    or holders[n] ~= token and (holders[n] and -6 or -2)
    or (of[2] or of[3]) and ${LINKED}
    or has_children and call('EXISTS', job.key .. ':dependencies', job.key .. ':unsuccessful') > 0 and ${LINKED}
  if not code then
    ours[#ours + 1], ids[#ids + 1], is_wanted[job.id] = job, job.id, true
  elseif not ${LUA.isEnded('completed', 'job.id', 'code')} then
    refuse(job.id, code)
  end
end
if #ours == 0 then return refused end

-- What was claimed together lies together, most often at the end: BullMQ takes out one by one.
local window, others = call('LRANGE', active, -4 * #ids, -1), {}
local at, left = #window, #ids
while at > 0 and left > 0 do
  local id = window[at]
  if is_wanted[id] then is_wanted[id], left = nil, left - 1 else others[#others + 1] = id end
  at = at - 1
end
${TRIM_EVENTS}
local scores, kept_locks = {}, {}
for n, job in ipairs(ours) do
  kept_locks[n] = job.key .. ':lock'
  if is_wanted[job.id] and call('LREM', active, -1, job.id) == 0 then
    refuse(job.id, -3)
  else
    call('HSET', job.key, 'atm', job.atm, 'returnvalue', job.value, 'finishedOn', now_text)
    call('XADD', events, '*', 'event', 'completed', 'jobId', job.id, 'returnvalue', job.value, 'prev', 'active')
    scores[#scores + 1] = now_text
    scores[#scores + 1] = job.id
  end
end
if #scores > 0 then call('ZADD', completed, unpack(scores)) end
if at < #window then call('LTRIM', active, 0, -(#window - at) - 1) end
for n = #others, 1, -1 do call('RPUSH', active, others[n]) end
call('SREM', stalled, unpack(ids))
call('DEL', unpack(kept_locks))
if call('EXISTS', wait, active, prioritized) == 0 then call('XADD', events, '*', 'event', 'drained') end
return refused
`,
  },
}

/** Claims by scripts of our own where there are many jobs; what is seldom goes by BullMQ's own. */
export class BatchClaims extends WrappedClaims {
  constructor(options: ConstructorParameters<typeof WrappedClaims>[0]) {
    super(options)
    this.define(SCRIPTS)
  }

  override async complete(token: string, jobs: readonly CompletedJob[]): Promise<Refusal[]> {
    const told: string[] = []
    for (const { id, returnvalue, attemptsMade } of jobs) told.push(id, returnvalue, `${attemptsMade}`)
    const refused = asRefusals(
      (await this.run('complete', this.keysOfEnd('completed'), [token, JSON.stringify(told)])) as string[],
    )
    const linked = new Set(refused.flatMap(([id, code]) => (code === LINKED ? [id] : [])))
    if (linked.size === 0) return refused
    const others = refused.filter(([id]) => !linked.has(id))
    const rest = jobs.filter(({ id }) => linked.has(id))
    return [...others, ...(await super.complete(token, rest))]
  }
}
