import type { IRedisClient } from 'bullmq'
import { unpack } from 'msgpackr'

/** BullMQ's script for the end of one job, which also fetches the next one. */
const ONE = /^moveToFinished:/
/** Jobs in one script: about a millisecond of Redis. */
const MOST = 32

/** Where things are in the arguments of that script. */
const KEYS = { wait: 0, active: 1, events: 3, stalled: 4, delayed: 6, meta: 8, finished: 10, marker: 13 }
const ARGS = { jobId: 14, timestamp: 15, value: 17, target: 18, fetch: 19, prefix: 20, options: 21 }

interface Call {
  args: unknown[]
  resolve: (reply: unknown) => void
  reject: (error: Error) => void
}

/**
 * Ends jobs and fetches the next ones, as BullMQ's script does for one, for a queue without priorities, flows, rates,
 * deduplication and metrics: what is the same for all is done once.
 *
 * KEYS wait, active, events, stalled, delayed, meta, completed, marker
 * ARGV prefix, now, milliseconds of a lock, then for each job: id, token, value, whether to fetch
 * Returns for each job what BullMQ's script would.
 */
const MANY = `
local wait, active, events, stalled, delayed, meta, completed, marker = unpack(KEYS)
local prefix, now, lock_ms = ARGV[1], ARGV[2], ARGV[3]
local replies, scores, ids, tokens, slots = {}, {}, {}, {}, {}
redis.call('XTRIM', events, 'MAXLEN', '~', 10000)
for at = 4, #ARGV, 4 do
  local id, token, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local key = prefix .. id
  local held = redis.call('GET', key .. ':lock')
  local slot = at / 4
  if held ~= token then replies[slot] = held and -6 or -2
  elseif redis.call('LREM', active, -1, id) == 0 then replies[slot] = -3
  else
    redis.call('DEL', key .. ':lock')
    redis.call('HINCRBY', key, 'atm', 1)
    redis.call('HSET', key, 'returnvalue', value, 'finishedOn', now)
    redis.call('XADD', events, '*', 'event', 'completed', 'jobId', id, 'returnvalue', value, 'prev', 'active')
    scores[#scores + 1] = now
    scores[#scores + 1] = id
    ids[#ids + 1] = id
    replies[slot] = 0
    if ARGV[at + 3] == '1' then
      slots[#slots + 1] = slot
      tokens[#tokens + 1] = token
    end
  end
end
if #ids > 0 then
  redis.call('SREM', stalled, unpack(ids))
  redis.call('ZADD', completed, unpack(scores))
end
if #slots == 0 or redis.call('HEXISTS', meta, 'paused') == 1 then return replies end
if redis.call('LLEN', wait) < #slots then
  local due = redis.call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)
  if #due > 0 then
    redis.call('ZREM', delayed, unpack(due))
    redis.call('LPUSH', wait, unpack(due))
    for _, id in ipairs(due) do
      redis.call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
      redis.call('HSET', prefix .. id, 'delay', 0)
    end
  end
end
for n, slot in ipairs(slots) do
  local id = redis.call('RPOPLPUSH', wait, active)
  if not id then
    local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    if first[2] then replies[slot] = {0, 0, 0, first[2] / 0x1000} end
  else
    local key = prefix .. id
    redis.call('SET', key .. ':lock', tokens[n], 'PX', lock_ms)
    redis.call('XADD', events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
    redis.call('HSET', key, 'processedOn', now)
    redis.call('HINCRBY', key, 'ats', 1)
    replies[slot] = {redis.call('HGETALL', key), id, 0, 0}
  end
end
redis.call('ZADD', marker, 0, '0')
return replies
`

/**
 * The prototype of a batch path: what a worker tells Redis of its jobs within one turn of the event loop leaves as one
 * script. Nothing of BullMQ's is changed but the client that its backend has.
 *
 * @param client BullMQ's, of a client of ioredis on which it has defined its scripts
 */
export function batchScripts(client: IRedisClient): void {
  const { scriptsSet } = client as unknown as { scriptsSet: Record<string, unknown> }
  const byClient = client.runCommand.bind(client)
  client.defineCommand('endMany', { lua: MANY, numberOfKeys: Object.keys(KEYS).length })
  // Whoever calls scripts by what the client knows of them comes by here, too.
  for (const name of Object.keys(scriptsSet)) if (ONE.test(name)) delete scriptsSet[name]
  const add = gather((calls) => void run(calls))
  client.runCommand = (name, args) =>
    ONE.test(name) && args[ARGS.target] === 'completed'
      ? new Promise((resolve, reject) => add({ args, resolve, reject }))
      : byClient(name, args)

  async function run(calls: Call[]): Promise<void> {
    const first = calls[0]?.args ?? []
    const keys = Object.values(KEYS).map((at) => first[at])
    const { lockDuration } = unpack(first[ARGS.options] as Buffer) as { lockDuration: number }
    const jobs = calls.flatMap(({ args }) => {
      const { token } = unpack(args[ARGS.options] as Buffer) as { token: string }
      return [args[ARGS.jobId], token, args[ARGS.value], args[ARGS.fetch]]
    })
    try {
      const argv = [first[ARGS.prefix], calls.at(-1)?.args[ARGS.timestamp], lockDuration, ...jobs]
      const replies = (await byClient('endMany', [...keys, ...argv])) as unknown[]
      for (const [index, { resolve }] of calls.entries()) resolve(replies[index])
    } catch (error) {
      for (const { reject } of calls) reject(error as Error)
    }
  }
}

/** Runs what is added in one turn of the event loop together, {@link MOST} at a time. */
function gather(run: (calls: Call[]) => void): (call: Call) => void {
  let waiting: Call[] = []
  const leave = () => {
    const calls = waiting
    waiting = []
    if (calls.length > 0) run(calls)
  }
  return (call) => {
    if (waiting.push(call) === 1) setImmediate(leave)
    if (waiting.length === MOST) leave()
  }
}
