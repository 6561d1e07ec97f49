import type { Redis } from 'ioredis'
import type { NamedQueue } from '../redis/keys.ts'
import type { BrakeReason, BrakeStatus, Grant, SharedBrake } from './brake.ts'

/** What one process knows of the state, with the stamp by which the newest decision is told. */
type Known = [engaged: string, reason: string, by: string, since: string, suspendedUntil: string, changed: string]

interface Reply {
  /** Or counted, where that is what was asked for. */
  granted: number
  /** Redis' time, in seconds. */
  second: number
  /** Whether the grant counts: not while it is suspended. */
  isCounted: boolean
  /** Redis has no longer what it had granted to this process. */
  isLost: boolean
  status: BrakeStatus
}

/** Seconds for which a grant counts. A second counts as long as any part of it is within the minute. */
const WINDOW_S = 60
/** Seconds after which a grant that nobody has said to be used is taken for that: its process has died, or the batch. */
const USED_AFTER_S = 15

/**
 * The state of the brake in Redis, where all processes and the command line find it.
 *
 *   {prefix:queue}:brake            hash: engaged (1 or 0), reason, by, since, suspended_until, changed
 *   {prefix:queue}:brake:cancelled  hash: id of a reservation → cancellations of it that count; id:used → 1 once they have
 *                                   been made; sum → of all of them
 *   {prefix:queue}:brake:reserved   sorted set: the same ids by the second of the grant
 * Times are epoch milliseconds by Redis' clock.
 *
 * A Redis that has lost its data, or has fallen back to older data, does not release the brake, nor begin a new minute:
 * - `changed` grows with every decision, to engage or to release. Each script gets the last one that the process knew,
 *   and writes it back if it is newer than what Redis has.
 * - Each process remembers what was granted to it in the last minute, and adds it again if the newest of that is gone.
 */
export class RedisBrake implements SharedBrake {
  readonly #redis: Redis
  readonly #keys: [string, string, string]
  #known: Known | undefined
  /** What was granted to this process within the last minute, oldest first. */
  readonly #grants = new Map<string, { second: number; used: number }>()

  #newest: [id: string, second: number | ''] = ['', '']

  /** @param options.redis a connection whose commands time out */
  constructor(options: { redis: Redis; queue: NamedQueue }) {
    const { keys } = options.queue
    this.#redis = options.redis
    this.#keys = [keys.brake, keys.brakeCancelled, keys.brakeReserved]
  }

  async status(): Promise<BrakeStatus> {
    return (await this.#run(STATUS)).status
  }

  async reserve(id: string, count: number, limit: number): Promise<Grant> {
    const { granted, second, isCounted, status } = await this.#run(RESERVE, id, count, limit)
    if (isCounted) {
      this.#grants.set(id, { second, used: granted })
      this.#newest = [id, second]
    }
    return { granted, status }
  }

  async use(id: string, used: number): Promise<void> {
    const grant = this.#grants.get(id)
    if (grant) grant.used = Math.min(grant.used, used)
    await this.#run(USE, id, used)
  }

  async countUsed(): Promise<number> {
    return (await this.#run(COUNT_USED)).granted
  }

  async engage(reason: BrakeReason, by: string): Promise<BrakeStatus> {
    return (await this.#run(ENGAGE, reason, by)).status
  }

  /** Releases it. It does not engage by itself for `suspendMs`. */
  async release(by: string, suspendMs: number): Promise<BrakeStatus> {
    return (await this.#run(RELEASE, by, suspendMs)).status
  }

  async #run(lua: string, ...args: (string | number)[]): Promise<Reply> {
    const reply = await this.#eval(lua, args)
    if (!reply.isLost) return reply
    await this.#eval(
      RESTORE,
      [...this.#grants].flatMap(([id, { second, used }]) => [id, second, used]),
    )
    const again = await this.#eval(lua, args)
    if (again.isLost) throw new Error('Redis loses its data again and again')
    return again
  }

  async #eval(lua: string, args: (string | number)[]): Promise<Reply> {
    const argv = [...(this.#known ?? ['', '', '', '', '', '']), ...this.#newest, ...args]
    const reply = (await this.#redis.eval(PROLOGUE + lua, 3, ...this.#keys, ...argv)) as string[]
    const [granted, counted, lost, second, lastMinute, ...state] = reply as [string, string, string, string, string]
    const [engaged, reason, by, since, suspendedUntil, changed] = state as string[] as Known
    // Requests under way at once carry what was known when they left.
    if (Number(changed) < Number(this.#known?.[5] ?? 0)) throw new Error('Redis has fallen back to an older state')
    this.#known = [engaged, reason, by, since, suspendedUntil, changed]
    const released = engaged === '1' ? 0 : Math.floor(Number(since) / 1_000)
    this.#forgetUntil(Math.max(Number(second) - WINDOW_S - 1, released))
    return {
      granted: Number(granted),
      second: Number(second),
      isCounted: counted === '1',
      isLost: lost === '1',
      status: {
        engaged: engaged === '1',
        ...(reason && { reason: reason as BrakeReason }),
        ...(by && { by }),
        ...(since && { since: Number(since) }),
        ...(suspendedUntil && { suspendedUntil: Number(suspendedUntil) }),
        lastMinute: Number(lastMinute),
      },
    }
  }

  #forgetUntil(second: number): void {
    for (const [id, grant] of this.#grants) {
      if (grant.second > second) return
      this.#grants.delete(id)
    }
    this.#newest = ['', '']
  }
}

/*
 * KEYS[1] the state, KEYS[2] the counts, KEYS[3] their seconds. ARGV[1…6] the state that the process knew last, ARGV[7] its
 * newest grant, ARGV[8] the second of that; what the script takes begins at ARGV[9]. Each script returns {granted, counted,
 * lost, second, last minute, engaged, reason, by, since, suspended until, changed}, all as strings.
 */
const PROLOGUE = `
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = string.format('%.0f', second * 1000 + math.floor(time[2] / 1000))

local function state()
  local s = redis.call('HMGET', KEYS[1], 'engaged', 'reason', 'by', 'since', 'suspended_until', 'changed')
  return {s[1] or '0', s[2] or '', s[3] or '', s[4] or '', s[5] or '', s[6] or '0'}
end

local function write(engaged, reason, by, since, suspended_until, changed)
  changed = changed or string.format('%.0f', math.max(tonumber(now), tonumber(state()[6]) + 1))
  redis.call('HSET', KEYS[1], 'engaged', engaged, 'reason', reason, 'by', by, 'since', since,
    'suspended_until', suspended_until, 'changed', changed)
end

if (tonumber(ARGV[6]) or 0) > tonumber(state()[6]) then write(unpack(ARGV, 1, 6)) end

local function is_suspended()
  return (tonumber(state()[5]) or 0) > tonumber(now)
end

-- What was granted until it was released does not count.
local function still_counts(granted_in)
  local s = state()
  return granted_in >= second - ${WINDOW_S} and (s[1] == '1' or granted_in > math.floor((tonumber(s[4]) or 0) / 1000))
end

-- The sum of the last minute; what is older goes.
local function last_minute()
  if redis.call('EXISTS', KEYS[2], KEYS[3]) < 2 then redis.call('DEL', KEYS[2], KEYS[3]) end
  local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. second - ${WINDOW_S})
  for _, id in ipairs(old) do
    redis.call('HINCRBY', KEYS[2], 'sum', -tonumber(redis.call('HGET', KEYS[2], id) or 0))
    redis.call('HDEL', KEYS[2], id, id .. ':used')
    redis.call('ZREM', KEYS[3], id)
  end
  return tonumber(redis.call('HGET', KEYS[2], 'sum') or 0)
end

local function count(id, granted_in, granted)
  redis.call('HSET', KEYS[2], id, granted)
  redis.call('HINCRBY', KEYS[2], 'sum', granted)
  redis.call('ZADD', KEYS[3], granted_in, id)
  redis.call('EXPIRE', KEYS[2], 120)
  redis.call('EXPIRE', KEYS[3], 120)
end

local is_lost = ARGV[7] ~= '' and still_counts(tonumber(ARGV[8])) and not redis.call('ZSCORE', KEYS[3], ARGV[7])

local function reply(granted, counted)
  local s = state()
  return {tostring(granted), counted and '1' or '0', is_lost and '1' or '0', time[1], tostring(last_minute()),
    s[1], s[2], s[3], s[4], s[5], s[6]}
end
`

const STATUS = 'return reply(0)'

/** Adds what was granted to the process, where it is missing. */
const RESTORE = `
for i = 9, #ARGV, 3 do
  local granted_in = tonumber(ARGV[i + 1])
  if still_counts(granted_in) and not redis.call('ZSCORE', KEYS[3], ARGV[i]) then
    count(ARGV[i], math.min(second, granted_in), tonumber(ARGV[i + 2]))
  end
end
is_lost = false
return reply(0)
`

/**
 * A request that arrives again, because its answer was lost, gets the same answer. What is cancelled while the brake is
 * suspended is not counted: it would engage again as soon as that ends.
 */
const RESERVE = `
if is_lost then return reply(0) end
local id, wanted, limit = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local sum = last_minute()
local earlier = redis.call('HGET', KEYS[2], id)
if earlier then return reply(tonumber(earlier), true) end
if state()[1] == '1' then return reply(0) end
if is_suspended() then return reply(wanted) end
local granted = math.max(0, math.min(wanted, limit - sum))
if granted > 0 then count(id, second, granted) end
return reply(granted, granted > 0)
`

/** Of what is not known yet, the request may still be on its way: it will be granted nothing. */
const USE = `
if is_lost then return reply(0) end
local id, used = ARGV[9], tonumber(ARGV[10])
last_minute()
local granted = tonumber(redis.call('HGET', KEYS[2], id) or 0)
if granted > used then
  redis.call('HINCRBY', KEYS[2], 'sum', used - granted)
  redis.call('HSET', KEYS[2], id, used)
elseif used == 0 and granted == 0 then
  count(id, second, 0)
end
if redis.call('HEXISTS', KEYS[2], id) == 1 then redis.call('HSET', KEYS[2], id .. ':used', 1) end
return reply(0)
`

const COUNT_USED = `
if is_lost then return reply(0) end
last_minute()
local used = 0
local ids = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
for i = 1, #ids, 2 do
  local is_old = tonumber(ids[i + 1]) <= second - ${USED_AFTER_S}
  if is_old or redis.call('HEXISTS', KEYS[2], ids[i] .. ':used') == 1 then
    used = used + tonumber(redis.call('HGET', KEYS[2], ids[i]) or 0)
  end
end
return reply(used)
`

const ENGAGE = `
if is_lost then return reply(0) end
if ARGV[9] == 'manual' or (state()[1] ~= '1' and not is_suspended()) then write('1', ARGV[9], ARGV[10], now, '') end
return reply(0)
`

const RELEASE = `
write('0', '', ARGV[9], now, string.format('%.0f', tonumber(now) + tonumber(ARGV[10])))
redis.call('DEL', KEYS[2], KEYS[3])
is_lost = false
return reply(0)
`
