/*
 * The scripts of the brake in Redis. All of them take
 *   KEYS[1] the state   hash: engaged (1 or 0), reason, by, since, suspended_until, changed
 *   KEYS[2] the counts  hash: id of a reservation → its cancellations that count; id:used → 1 once they have been made;
 *                       sum → of all of them
 *   KEYS[3] the grants  sorted set: the same ids by the second of the grant
 *   ARGV[1] JSON {state, newest, grants}: the newest state and grant that the process knows; grants, after is_lost: all
 *           that were made to it in the last minute, as {id, second, used}
 *   ARGV[2] JSON of what the script asks for
 * and return JSON of a BrakeReply. Times are epoch milliseconds by Redis' clock, `second` is its time in seconds.
 */

export type StoredState = Record<'engaged' | 'reason' | 'by' | 'since' | 'suspended_until' | 'changed', string>

export interface BrakeReply {
  second: number
  last_minute: number
  state: StoredState
  /** The script has done nothing: Redis no longer has the newest grant, and wants all of them. */
  is_lost?: true
  granted?: number
  /** Whether the grant counts: not while the brake is suspended. */
  is_counted?: boolean
  used?: number
}

/** Seconds for which a grant counts. A second counts as long as any part of it is within the minute. */
export const WINDOW_S = 60
/** Seconds after which a grant counts as used though nobody has said so: its process or its batch has died. */
const USED_AFTER_S = 15

const PROLOGUE = `
local known, asked = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = string.format('%.0f', second * 1000 + math.floor(time[2] / 1000))

local state = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do state[fields[i]] = fields[i + 1] end
-- Nobody has ever decided. Where a part of a state is missing, it is not filled in: it could have said anything.
if #fields == 0 then
  state = {engaged = '0', reason = '', by = '', since = '', suspended_until = '', changed = '0'}
end

local function write(decision)
  state = decision
  for field, value in pairs(state) do redis.call('HSET', KEYS[1], field, value) end
end

-- Each decision has a higher stamp than the one before, even if the clock is set back.
local function decide(decision)
  decision.since = now
  decision.changed = string.format('%.0f', math.max(tonumber(now), (tonumber(state.changed) or 0) + 1))
  write(decision)
end

local function is_suspended()
  return (tonumber(state.suspended_until) or 0) > tonumber(now)
end

local function counted(field)
  return tonumber(redis.call('HGET', KEYS[2], field))
end

local function count(id, granted_in, granted)
  redis.call('HSET', KEYS[2], id, granted)
  redis.call('HINCRBY', KEYS[2], 'sum', granted)
  redis.call('ZADD', KEYS[3], granted_in, id)
  redis.call('EXPIRE', KEYS[2], 120)
  redis.call('EXPIRE', KEYS[3], 120)
end

-- What was granted before a release does not count.
local function is_lost(grant)
  if grant.second < second - ${WINDOW_S} or redis.call('ZSCORE', KEYS[3], grant.id) then return false end
  return state.engaged == '1' or grant.second > math.floor((tonumber(state.since) or 0) / 1000)
end

local function reply(found)
  found.second, found.last_minute, found.state = second, counted('sum') or 0, state
  return cjson.encode(found)
end

-- Redis has fallen back to older data.
if known.state and tonumber(known.state.changed) > (tonumber(state.changed) or 0) then write(known.state) end

-- Grants that are older than the last minute go.
if redis.call('EXISTS', KEYS[2], KEYS[3]) < 2 then redis.call('DEL', KEYS[2], KEYS[3]) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. second - ${WINDOW_S})) do
  redis.call('HINCRBY', KEYS[2], 'sum', 0 - (counted(id) or 0)) -- Redis takes no -0
  redis.call('HDEL', KEYS[2], id, id .. ':used')
  redis.call('ZREM', KEYS[3], id)
end

for _, grant in ipairs(known.grants or {}) do
  if is_lost(grant) then count(grant.id, math.min(second, grant.second), grant.used) end
end
if known.newest and is_lost(known.newest) then return reply({is_lost = true}) end
`

/**
 * Reads the state and writes nothing, but fails where the other scripts cannot read.
 *
 * KEYS those of the other scripts
 * Returns the fields and values of the state, in turn
 */
export const PEEK = `
redis.call('TIME')
redis.call('HLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
return redis.call('HGETALL', KEYS[1])
`

export const SCRIPTS = {
  status: `${PROLOGUE}
return reply({})
`,

  // Asks for {id, count, limit}. A request whose answer was lost gets the same one when it arrives again.
  // What is granted while the brake is suspended does not count: it would engage again right afterwards.
  reserve: `${PROLOGUE}
local earlier = counted(asked.id)
if earlier then return reply({granted = earlier, is_counted = true}) end
if state.engaged == '1' then return reply({granted = 0}) end
if is_suspended() then return reply({granted = asked.count}) end
local granted = math.max(0, math.min(asked.count, asked.limit - (counted('sum') or 0)))
if granted > 0 then count(asked.id, second, granted) end
return reply({granted = granted, is_counted = granted > 0})
`,

  /** Asks for {id, used}. A request that is not known yet may still be on its way: it will be granted nothing. */
  use: `${PROLOGUE}
local granted = counted(asked.id) or 0
if granted > asked.used then
  redis.call('HINCRBY', KEYS[2], 'sum', asked.used - granted)
  redis.call('HSET', KEYS[2], asked.id, asked.used)
elseif asked.used == 0 and granted == 0 then
  count(asked.id, second, 0)
end
if counted(asked.id) then redis.call('HSET', KEYS[2], asked.id .. ':used', 1) end
return reply({})
`,

  /** Adds {used}: the cancellations of the last minute that have been made. */
  countUsed: `${PROLOGUE}
local used = 0
local grants = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
for i = 1, #grants, 2 do
  local is_old = tonumber(grants[i + 1]) <= second - ${USED_AFTER_S}
  if is_old or counted(grants[i] .. ':used') then used = used + (counted(grants[i]) or 0) end
end
return reply({used = used})
`,

  /** Asks for {reason, by, is_manual}. Unless somebody asks for it by hand, a brake that is engaged or suspended stays as it is. */
  engage: `${PROLOGUE}
if asked.is_manual or (state.engaged ~= '1' and not is_suspended()) then
  decide({engaged = '1', reason = asked.reason, by = asked.by, suspended_until = ''})
end
return reply({})
`,

  /** Asks for {by, suspend_ms}. */
  release: `${PROLOGUE}
local suspended_until = string.format('%.0f', tonumber(now) + asked.suspend_ms)
decide({engaged = '0', reason = '', by = asked.by, suspended_until = suspended_until})
redis.call('DEL', KEYS[2], KEYS[3])
return reply({})
`,
}
