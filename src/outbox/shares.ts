import { randomUUID } from 'node:crypto'
import { asOrderExpiryError } from '../errors.ts'
import { NUM_SHARES } from '../order/outbox.ts'
import type { Connection } from '../redis/connection.ts'

/** A process that has not renewed its shares for so long has lost them. */
const HELD_FOR_MS = 10_000

/*
 * KEYS[1] the holders, a hash: share → until when it is held, in epoch milliseconds by Redis' clock, and by whom; and `@process` →
 *   until when that process counts; and `!again`, as if it were held by what is told in {@link askToReadAgain}
 * ARGV[1] the process, ARGV[2] how long it holds in milliseconds, ARGV[3] how many shares there are, ARGV[4…] those that it gives back
 * Renews what the process holds, and takes what is free, up to its part. Returns who holds `!again`, its part,
 * then the shares that it holds.
 */
const RENEW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, num_shares = ARGV[1], tonumber(ARGV[3])
local mine = string.format('%.0f ', now + ARGV[2]) .. me
for i = 4, #ARGV do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if held and string.match(held, '^%d+ (.*)$') == me then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
redis.call('HSET', KEYS[1], '@' .. me, mine)
local processes, holders = 0, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local expires, by = string.match(all[i + 1], '^(%d+) (.*)$')
  -- later than it can be: the clock was set back, or another Redis has taken over
  if not expires or tonumber(expires) < now or tonumber(expires) > now + ARGV[2] then redis.call('HDEL', KEYS[1], all[i])
  elseif string.sub(all[i], 1, 1) == '@' then processes = processes + 1
  else holders[all[i]] = by end
end
local part, held = math.ceil(num_shares / processes), {}
for share = 0, num_shares - 1 do
  if holders[tostring(share)] == me then held[#held + 1] = share end
end
for share = 0, num_shares - 1 do
  if #held < part and not holders[tostring(share)] then held[#held + 1] = share end
end
for _, share in ipairs(held) do redis.call('HSET', KEYS[1], share, mine) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
table.insert(held, 1, part)
table.insert(held, 1, holders['!again'] or '')
return held
`

/*
 * KEYS[1] the holders, ARGV[1] the process. Gives back all that it holds.
 */
const LEAVE = `
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if string.match(all[i + 1], '^%d+ (.*)$') == ARGV[1] then redis.call('HDEL', KEYS[1], all[i]) end
end
`

/*
 * KEYS[1] the holders, ARGV[1] something new, ARGV[2] for how many milliseconds the processes find it.
 */
const AGAIN = `
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('HSET', KEYS[1], '!again', string.format('%.0f ', until_ms) .. ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
`

/** Whoever holds shares reads all of the outbox anew, within seconds: somebody has changed what was read already. */
export async function askToReadAgain({ connection, key }: Pick<SharesOptions, 'connection' | 'key'>): Promise<void> {
  await connection.untilReady()
  await connection.ask(() => connection.redis.eval(AGAIN, 1, key, randomUUID(), HELD_FOR_MS))
}

interface SharesOptions {
  connection: Connection
  key: string
  /** The process, by a name of its own. */
  holder: string
  onError: (error: Error) => void
}

/**
 * Which shares of the events are this process's to deliver: nobody leads, each takes its part of what is free, and gives back what is
 * more than that once another one comes. While Redis is away a process keeps what it holds, since nobody else can take it; where
 * only this process has lost Redis, events may come twice.
 */
export class Shares {
  readonly #options: SharesOptions
  #held: readonly number[] = []
  #part = NUM_SHARES
  #again = ''

  constructor(options: SharesOptions) {
    this.#options = options
  }

  /** The same array as long as nothing changes. */
  get held(): readonly number[] {
    return this.#held
  }

  /** Those that are more than this process's part: to be given back once nothing of them is on its way. */
  get surplus(): readonly number[] {
    return this.#held.slice(this.#part)
  }

  /** Another one each time that somebody has called {@link askToReadAgain}; empty: nobody has, or not for a while. */
  get again(): string {
    return this.#again
  }

  /** Never rejects. */
  async renew(back: readonly number[] = []): Promise<void> {
    const { connection, key, holder, onError } = this.#options
    try {
      await connection.untilReady()
      const answer = connection.redis.eval(RENEW, 1, key, holder, HELD_FOR_MS, NUM_SHARES, ...back)
      const [again, part, ...held] = (await connection.ask(() => answer)) as [string, number, ...number[]]
      this.#again = again
      this.#part = part
      if (held.join() !== this.#held.join()) this.#held = held
    } catch (error) {
      onError(asOrderExpiryError(error))
    }
  }

  async leave(): Promise<void> {
    const { connection, key, holder } = this.#options
    this.#held = []
    await connection.redis.eval(LEAVE, 1, key, holder).catch(() => {}) // they are free again after a while
  }
}
