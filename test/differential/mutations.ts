import type { Edit } from './edited-client.ts'

/** A mistake in a script of `batch-claims.ts`, or in what `wrapped-claims.ts` does around that of BullMQ. */
interface Mutation {
  mistake: string
  /** Whose scripts have it, and are run; else those of our own. */
  kind?: 'wrapped'
  script: 'claim' | 'complete' | 'putBack' | 'finish' | 'putStalledBack'
  from: string
  to: string
  /** The check of the contract that finds it, as part and name; else the differential test does. */
  foundBy?: readonly [part: string, check: string]
}

export const MUTATIONS: readonly Mutation[] = [
  {
    mistake: 'complete does not look at the token',
    script: 'complete',
    from: 'or holders[n] ~= token and',
    to: 'or not holders[n] and',
  },
  {
    mistake: 'putBack does not look at the token',
    script: 'putBack',
    from: 'prefix, now_text, id, token, delay',
    to: "prefix, now_text, id, call('GET', keys[5] .. ':lock') or '', delay",
  },
  { mistake: 'complete leaves the locks', script: 'complete', from: "call('DEL', unpack(kept_locks))", to: '' },
  {
    mistake: 'claim locks without the token',
    script: 'claim',
    from: "call('SET', job.key .. ':lock', token, 'PX', lock_ms)",
    to: "call('SET', job.key .. ':lock', '0', 'PX', lock_ms)",
  },
  {
    mistake: 'claim locks for ever',
    script: 'claim',
    from: "call('SET', job.key .. ':lock', token, 'PX', lock_ms)",
    to: "call('SET', job.key .. ':lock', token)",
  },
  {
    mistake: 'starts are not counted',
    script: 'claim',
    from: '(job.ats or 0) + 1',
    to: 'job.ats or 1',
  },
  {
    mistake: 'the priority of what is due is forgotten',
    script: 'claim',
    from: 'or priority_of(due[n]) ~= 0 then',
    to: 'then',
  },
  {
    mistake: 'what has a priority comes before what is due',
    script: 'claim',
    from: 'count < room and #due_ids < room_for_due then',
    to: 'count < room then',
    foundBy: ['claim', 'no job with a priority comes before one that is due, however few are claimed'],
  },
  {
    mistake: 'no event tells that a delayed job waits',
    script: 'claim',
    from: "    call('XADD', events, '*', 'event', 'waiting', 'jobId', job.id, 'prev', 'delayed')\n    call('HSET', job.key, 'delay', 0,",
    to: "    call('HSET', job.key, 'delay', 0,",
  },
  {
    mistake: 'no event tells of a start',
    script: 'claim',
    from: "call('XADD', events, '*', 'event', 'active', 'jobId', job.id, 'prev', 'waiting')",
    to: '',
  },
  {
    mistake: 'no event tells of an end',
    script: 'complete',
    from: "call('XADD', events, '*', 'event', 'completed', 'jobId', job.id, 'returnvalue', job.value, 'prev', 'active')",
    to: '',
  },
  {
    mistake: 'no event tells that the queue is empty',
    script: 'complete',
    from: "call('XADD', events, '*', 'event', 'drained')",
    to: '',
  },
  {
    mistake: 'what is completed stays among what may be stalled',
    script: 'complete',
    from: "call('SREM', stalled, unpack(ids))",
    to: '',
  },
  {
    mistake: 'the newest of the waiting jobs is taken first',
    script: 'claim',
    from: 'for n = #tail, 1, -1 do',
    to: 'for n = 1, #tail do',
  },
  {
    mistake: 'what is active beside those that end changes its order',
    script: 'complete',
    from: "for n = #others, 1, -1 do call('RPUSH', active, others[n]) end",
    to: "for n = 1, #others do call('RPUSH', active, others[n]) end",
  },
  {
    mistake: 'what is active beside those that end is forgotten',
    script: 'complete',
    from: "for n = #others, 1, -1 do call('RPUSH', active, others[n]) end",
    to: '',
  },
  { mistake: 'the rate limit does not count', script: 'claim', from: 'limited = limited + 1', to: 'limited = limited' },
  {
    mistake: 'the rate limit never ends',
    script: 'claim',
    from: "call('PEXPIRE', limiter, math.floor(math.abs(duration or 0)))",
    to: '',
  },
  {
    mistake: 'the global concurrency is ignored',
    script: 'claim',
    from: 'is_maxed = left <= room\n  room = math.min(room, left)',
    to: '',
  },
  {
    mistake: 'one more is taken than the global concurrency allows',
    script: 'claim',
    from: "concurrency - call('LLEN', active)",
    to: "concurrency + 1 - call('LLEN', active)",
  },
  { mistake: 'a pause is ignored', script: 'claim', from: 'paused and 0 or most', to: 'most' },
  {
    mistake: 'the delay of a started job is not set back',
    script: 'claim',
    from: "call('HSET', job.key, 'delay', 0, 'processedOn'",
    to: "call('HSET', job.key, 'processedOn'",
  },
  {
    mistake: 'children are not looked at',
    script: 'complete',
    from: "has_children and call('EXISTS', job.key .. ':dependencies', job.key .. ':unsuccessful') > 0",
    to: 'false',
  },
  { mistake: 'deduplication is forgotten', script: 'complete', from: ' or of[3])', to: ')' },
  { mistake: 'parents are forgotten', script: 'complete', from: 'of[2] or of[3]', to: 'of[3]' },
  {
    mistake: 'a job with a parent is told of as plain',
    script: 'claim',
    from: ' or of.parentKey or of.parent',
    to: '',
  },
  { mistake: 'a job of another name is told of as plain', script: 'claim', from: 'of.name == job_name and', to: '' },
  {
    mistake: 'a job that failed before is told of as plain',
    script: 'claim',
    from: '(of.atm or ',
    to: '(',
    foundBy: ['claim', 'all that is on a job is told, unless it is nothing unusual'],
  },
  {
    mistake: 'what is due now, but was added after others of the same moment, is not due',
    script: 'claim',
    from: '(now + 1) * 0x1000 - 1',
    to: 'now * 0x1000',
  },
  {
    mistake: 'what is due a millisecond later is due',
    script: 'claim',
    from: '(now + 1) * 0x1000 - 1',
    to: '(now + 1) * 0x1000',
  },
  {
    mistake: 'what is put back comes a second late',
    script: 'putBack',
    from: 'math.ceil(ARGV[at + 1] - now)',
    to: 'math.ceil(ARGV[at + 1] - now) + 1000',
  },
  {
    mistake: 'the priority of what is put back is forgotten',
    script: 'putBack',
    from: "local fields = {'priority', ARGV[at + 2]}",
    to: "local fields = {'priority', '0'}",
  },
  { mistake: 'a failed attempt is not counted', script: 'putBack', from: "has_failed and '0' or '1'", to: "'1'" },
  {
    mistake: 'changed data is overlooked',
    script: 'putBack',
    from: "ARGV[at + 3] ~= '' and data ~= ARGV[at + 3]",
    to: 'false',
    foundBy: ['put back', 'a job whose data somebody has changed meanwhile stays, and its data is told'],
  },
  { mistake: 'a note is lost', script: 'putBack', from: "call('RPUSH', keys[5] .. ':logs', ARGV[at + 4])", to: '' },
  {
    mistake: 'notes are kept for ever',
    script: 'putBack',
    from: "call('LTRIM', keys[5] .. ':logs', -notes_kept, -1)",
    to: '',
    foundBy: ['put back', 'only the last notes are kept'],
  },
  { mistake: 'no marker tells of what is left', script: 'claim', from: "call('ZADD', marker, 0, '0')", to: '' },
  {
    mistake: 'the next time is not told',
    script: 'claim',
    from: "next and string.format('%.0f', math.floor(next / 0x1000)) or ''",
    to: "''",
  },
  {
    mistake: 'there is no receipt',
    script: 'claim',
    from: 'sign()\nif limited',
    to: 'if limited',
    foundBy: ['claim', 'the same token brings the same jobs again, as far as they are still locked with it'],
  },
  {
    mistake: 'the receipt is not looked at',
    script: 'claim',
    from: 'if last == token then',
    to: 'if false then',
    foundBy: ['claim', 'the same token brings the same jobs again, as far as they are still locked with it'],
  },
  {
    mistake: 'a claim that was under way for long takes jobs',
    script: 'claim',
    from: 'if turn(last) > turn(token) then',
    to: 'if false then',
    foundBy: ['claim', 'a claim that arrives after the next one takes nothing'],
  },
  {
    mistake: 'a claim that brings nothing has no receipt',
    script: 'claim',
    from: 'sign()\nif limited',
    to: 'if count > 0 then sign() end\nif limited',
    foundBy: ['claim', 'a claim that arrives again takes nothing, also where it had found nothing'],
  },
  {
    mistake: 'a priority that is no number is taken for one',
    script: 'claim',
    from: 'priority == priority and priority',
    to: 'priority',
    foundBy: ['claim', 'a job whose priority is no number to Redis loses no other'],
  },
  {
    mistake: 'an end that is told again is a refusal',
    script: 'complete',
    from: "redis.call('ZSCORE', completed, job.id)",
    to: 'false',
  },
  {
    mistake: 'of those with the last priority all are taken',
    script: 'claim',
    from: 'if has_left_behind then break end',
    to: '',
    foundBy: ['claim', 'of those with the last priority no more are claimed than are wanted'],
  },
  {
    mistake: 'nobody is told to look after an end, where the global concurrency is used up',
    script: 'claim',
    from: '(has_left_behind or concurrency) and 1',
    to: 'has_left_behind and 1',
    foundBy: ['claim', 'where a global concurrency is used up, it is said that more may be claimed after an end'],
  },
  {
    mistake: 'strangers stop a claim',
    script: 'claim',
    from: 'if of.err then',
    to: 'if of.err then error(of.err)',
    foundBy: ['claim', 'a key in the place of a job is told of, and is in no list any more'],
  },
  { mistake: 'the counter of priorities never begins anew', script: 'claim', from: "call('DEL', pc)", to: '' },
  {
    mistake: 'claim locks without the token',
    kind: 'wrapped',
    script: 'claim',
    from: 'cmsgpack.pack({token = token, lockDuration',
    to: "cmsgpack.pack({token = '0', lockDuration",
  },
  {
    mistake: 'claim locks for twice as long',
    kind: 'wrapped',
    script: 'claim',
    from: 'lockDuration = tonumber(lock_ms)',
    to: 'lockDuration = 2 * lock_ms',
  },
  {
    mistake: 'the next time is not told',
    kind: 'wrapped',
    script: 'claim',
    from: "next = due > 0 and string.format('%.0f', math.floor(due)) or ''",
    to: "next = ''",
    // BullMQ's script leaves a marker for it, so that nothing in Redis is other.
    foundBy: ['claim', 'what is due is claimed by its time, after what waits, and nothing that is not due'],
  },
  {
    mistake: 'a job that was started before is told of as plain',
    kind: 'wrapped',
    script: 'claim',
    from: "of.ats == '1' and is_plain(of)",
    to: 'is_plain(of)',
  },
  {
    mistake: 'there is no receipt',
    kind: 'wrapped',
    script: 'claim',
    from: 'sign()\nlocal is_held',
    to: 'local is_held',
    foundBy: ['claim', 'the same token brings the same jobs again, as far as they are still locked with it'],
  },
  {
    mistake: 'what is no job stops a claim',
    kind: 'wrapped',
    script: 'claim',
    from: "if type(priority) == 'table' then",
    to: 'if false then',
    foundBy: ['claim', 'a key in the place of a job is told of, and is in no list any more'],
  },
  {
    mistake: 'what stops the script of BullMQ is left active',
    kind: 'wrapped',
    script: 'claim',
    from: 'if not mend() then failure = reply end',
    to: 'failure = reply',
    foundBy: ['claim', 'a key in the place of a job is told of, and is in no list any more'],
  },
  {
    mistake: 'a priority that is no number is left',
    kind: 'wrapped',
    script: 'claim',
    from: "call('HSET', prefix .. id, 'priority', 0)",
    to: '',
    foundBy: ['claim', 'a job whose priority is no number to Redis loses no other'],
  },
  {
    mistake: 'of those with the last priority all are taken',
    kind: 'wrapped',
    script: 'claim',
    from: 'of.priority == last_priority and last >= most_last then',
    to: 'false then',
    foundBy: ['claim', 'of those with the last priority no more are claimed than are wanted'],
  },
  {
    mistake: 'that a rate limit is reached is not told',
    kind: 'wrapped',
    script: 'claim',
    from: 'limited_ms = tonumber(reply[3]) or 0',
    to: '',
    foundBy: ['claim', 'no more are claimed than the rate limit of the queue allows'],
  },
  {
    mistake: 'nobody is told to look after an end, where the global concurrency is used up',
    kind: 'wrapped',
    script: 'claim',
    from: "call('HEXISTS', meta, 'concurrency') == 1 or",
    to: '',
    foundBy: ['claim', 'where a global concurrency is used up, it is said that more may be claimed after an end'],
  },
  {
    mistake: 'whoever asks may end a job',
    kind: 'wrapped',
    script: 'finish',
    from: 'how.attempts, how.maxMetricsSize = token,',
    to: "how.attempts, how.maxMetricsSize = redis.call('GET', keys[12] .. ':lock') or token,",
  },
  {
    mistake: 'the evidence of one job is kept',
    kind: 'wrapped',
    script: 'finish',
    from: '{count = -1}',
    to: '{count = 1}',
  },
  {
    mistake: 'the stack is lost',
    kind: 'wrapped',
    script: 'finish',
    from: "if ARGV[at + 4] ~= '' then",
    to: 'if false then',
  },
  {
    mistake: 'an end that is told again is a refusal',
    kind: 'wrapped',
    script: 'finish',
    from: "redis.call('ZSCORE', KEYS[11], id)",
    to: 'false',
  },
  {
    mistake: 'changed data is overlooked',
    kind: 'wrapped',
    script: 'putBack',
    from: "ARGV[at + 3] ~= '' and data ~= ARGV[at + 3]",
    to: 'false',
    foundBy: ['put back', 'a job whose data somebody has changed meanwhile stays, and its data is told'],
  },
  {
    mistake: 'what has been stalled fails',
    kind: 'wrapped',
    script: 'putStalledBack',
    from: "{'1000000',",
    to: "{'0',",
  },
  {
    mistake: 'stalled jobs are looked for as often as one likes',
    kind: 'wrapped',
    script: 'putStalledBack',
    from: 'prefix, now_text, ARGV[2]}',
    to: "prefix, now_text, '1'}",
    foundBy: ['look for stalled jobs', 'a look that comes too early changes nothing'],
  },
  {
    mistake: 'what is no job stops the look for stalled ones',
    kind: 'wrapped',
    script: 'putStalledBack',
    from: "elseif kind ~= 'none' then",
    to: 'elseif false then',
    foundBy: ['look for stalled jobs', 'a key in the place of an active job is told of, and is in no list any more'],
  },
]

/** @throws if the text that it replaces is not there, or not once */
export function mutated({ kind, script, from, to }: Mutation): Edit {
  return (lua, name) => {
    // Scripts of our own replace some of those around BullMQ's.
    const isOther = !kind && script !== 'putBack' && lua.includes('local function one(')
    if (name !== `order-expiry:${script}` || isOther) return lua
    const parts = lua.split(from)
    if (parts.length !== 2)
      throw new Error(`expected ${script} to contain once, not ${parts.length - 1} times: ${from}`)
    return parts.join(to)
  }
}
