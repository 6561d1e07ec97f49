import type { Redis } from 'ioredis'
import type { BrakeReason, BrakeStatus, Grant, SharedBrake } from '../order/brake.ts'

/** The hash with the state of the brake. */
export function brakeKey(options: { queueName: string; queuePrefix: string }): string {
  return `{${options.queuePrefix}:${options.queueName}}:brake`
}

/**
 * The state of the brake in Redis, where all processes and the command line find it.
 *
 *   {prefix:queue}:brake            hash: engaged (1 or 0), reason, by, since, suspended_until
 *   {prefix:queue}:brake:cancelled  hash: second → cancellations granted in it
 * Times are epoch milliseconds by Redis' clock.
 *
 * A Redis that has lost its data does not release the brake: each script gets what this process knew last and writes it
 * back where nothing is.
 */
export class RedisBrake implements SharedBrake {
  readonly #redis: Redis
  readonly #keys: [string, string]
  #known: string[] = []

  /** @param options.redis a connection whose commands time out */
  constructor(options: { redis: Redis; queueName: string; queuePrefix: string }) {
    const base = brakeKey(options)
    this.#redis = options.redis
    this.#keys = [base, `${base}:cancelled`]
  }

  async status(): Promise<BrakeStatus> {
    return (await this.#run(STATUS)).status
  }

  reserve(count: number, limit: number): Promise<Grant> {
    return this.#run(RESERVE, count, limit)
  }

  async giveBack(count: number, { second }: Grant): Promise<void> {
    await this.#run(GIVE_BACK, count, second)
  }

  async engage(reason: BrakeReason, by: string): Promise<BrakeStatus> {
    return (await this.#run(ENGAGE, reason, by)).status
  }

  /** Releases it. It does not engage by itself for `suspendMs`. */
  async release(by: string, suspendMs: number): Promise<BrakeStatus> {
    return (await this.#run(RELEASE, by, suspendMs)).status
  }

  async #run(lua: string, ...args: (string | number)[]): Promise<Grant> {
    const [first = '', ...rest] = args
    const argv = [first, rest[0] ?? '', ...this.#known]
    const reply = (await this.#redis.eval(PROLOGUE + lua, 2, ...this.#keys, ...argv)) as string[]
    const [granted, second, lastMinute, engaged = '0', reason, by, since, suspendedUntil] = reply
    this.#known = [engaged, reason ?? '', by ?? '', since ?? '', suspendedUntil ?? '']
    return {
      granted: Number(granted),
      second: Number(second),
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
}

/*
 * KEYS[1] the state, KEYS[2] the counts. ARGV[1], ARGV[2] what the script takes; ARGV[3…7] the state that the process knew
 * last. Each script returns {granted, second, last minute, engaged, reason, by, since, suspended until}, all as strings.
 */
const PROLOGUE = `
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = string.format('%.0f', second * 1000 + math.floor(time[2] / 1000))

local function write(engaged, reason, by, since, suspended_until)
  redis.call('HSET', KEYS[1], 'engaged', engaged, 'reason', reason, 'by', by, 'since', since, 'suspended_until', suspended_until)
end

if ARGV[3] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then write(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]) end

local function state()
  local s = redis.call('HMGET', KEYS[1], 'engaged', 'reason', 'by', 'since', 'suspended_until')
  return {s[1] or '0', s[2] or '', s[3] or '', s[4] or '', s[5] or ''}
end

local function is_suspended()
  return (tonumber(state()[5]) or 0) > tonumber(now)
end

-- The counts of the last minute; older ones go. A second counts as long as any part of it is within the minute.
local function last_minute()
  local sum, counts = 0, redis.call('HGETALL', KEYS[2])
  for i = 1, #counts, 2 do
    if tonumber(counts[i]) < second - 60 then redis.call('HDEL', KEYS[2], counts[i])
    else sum = sum + tonumber(counts[i + 1]) end
  end
  return sum
end

local function reply(granted)
  local s = state()
  return {tostring(granted), time[1], tostring(last_minute()), s[1], s[2], s[3], s[4], s[5]}
end
`

const STATUS = 'return reply(0)'

/** What is cancelled while the brake is suspended is not counted: it would engage again as soon as that ends. */
const RESERVE = `
if state()[1] == '1' then return reply(0) end
local count, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
if is_suspended() then return reply(count) end
local granted = math.max(0, math.min(count, limit - last_minute()))
if granted < count then write('1', 'limit', 'more than ' .. ARGV[2] .. ' cancellations in a minute', now, '') end
if granted > 0 then
  redis.call('HINCRBY', KEYS[2], second, granted)
  redis.call('EXPIRE', KEYS[2], 120)
end
return reply(granted)
`

const GIVE_BACK = `
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then redis.call('HINCRBY', KEYS[2], ARGV[2], -tonumber(ARGV[1])) end
return reply(0)
`

const ENGAGE = `
if ARGV[1] == 'manual' or (state()[1] ~= '1' and not is_suspended()) then write('1', ARGV[1], ARGV[2], now, '') end
return reply(0)
`

const RELEASE = `
write('0', '', ARGV[1], now, string.format('%.0f', tonumber(now) + tonumber(ARGV[2])))
redis.call('DEL', KEYS[2])
return reply(0)
`
