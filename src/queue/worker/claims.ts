/** What a worker does with the queue, by the batch. All times and delays are by the clock of Redis. */
export interface Claims {
  /**
   * Makes jobs active that are waiting or due, locked with the token, in the order in which BullMQ's workers would take them.
   * The same token again brings what it has brought before, as far as that is still locked with it: an answer can be lost.
   * Tokens end in `:` and a number that grows; an older one than the last brings nothing.
   */
  claim(asked: { token: string; most: number; mostLast: number }): Promise<Claim>
  /** Ends jobs as completed. A job that has been ended so already is no refusal. */
  complete(token: string, jobs: readonly CompletedJob[]): Promise<Refusal[]>
  /** Ends a job as failed. */
  fail(token: string, job: FailedJob): Promise<Refusal[]>
  /** Puts jobs back to the delayed ones, except those whose data somebody has changed meanwhile. */
  putBack(
    token: string,
    jobs: readonly PutBackJob[],
  ): Promise<{ refused: Refusal[]; changed: [id: string, data: string][] }>
  /**
   * Puts back the jobs of workers that are gone: they are active, and have been without a lock for two looks of any worker.
   *
   * @returns strangers, as in {@link Claim}
   */
  putStalledBack(options: { everyMs: number }): Promise<string[]>
}

export interface Claim {
  /** When, in epoch milliseconds and fractions of them. */
  now: number
  jobs: ClaimedJob[]
  /** Keys in the place of jobs that are none. They are in no list any more. */
  strangers: string[]
  /** When the next job is due, in epoch milliseconds: 0 if there may be more at once, infinite if there is none. */
  nextAt: number
  /** No job may be taken for so long: the queue has a rate limit. */
  limitedMs: number
  /**
   * Others may have to end before more is taken, with no marker to tell of it: BullMQ sets none for a job that is added while as
   * many are active as the queue's global concurrency allows.
   */
  isHeld: boolean
}

/** The fields in the hash of a job, as BullMQ names them. */
type Fields = Readonly<Record<string, string>>

export interface ClaimedJob {
  id: string
  /** JSON. */
  data: string | undefined
  /** JSON. */
  opts: string | undefined
  /** Epoch milliseconds, as text. */
  timestamp: string | undefined
  /** All that is in its hash; undefined where that is nothing unusual, and it is started for the first time. */
  fields?: Fields
}

export interface CompletedJob {
  id: string
  /** JSON. */
  returnvalue: string
  /** How often it has been tried, this time included. */
  attemptsMade: number
}

export interface FailedJob {
  id: string
  failedReason: string
  stacktrace: string
  attempts: number
  /** Its own, as BullMQ writes them: they say what becomes of its parent. */
  opts: Readonly<Record<string, unknown>>
}

export interface PutBackJob {
  id: string
  /** Epoch milliseconds. An instant, since it may be a while until Redis can be told. */
  dueAt: number
  priority: number
  /** As it was when it was claimed; '' for any. */
  data: string
  /** For its log. */
  note: string
  /** Why it has failed, which costs it an attempt. */
  failedReason?: string
}

/** A job that could not be ended, with BullMQ's code: -1 it is gone, -2 not locked, -3 not active, -6 somebody else's lock. */
export type Refusal = [id: string, code: number]

/** How long a claim can be under way, and still be known when it arrives: longer than TCP sends again. */
const RECEIPT_MS = 1_200_000

/** Parts of scripts of both kinds of claims. */
export const LUA = {
  /** The time by Redis, as BullMQ's scripts want it. */
  now: `
local time = redis.call('TIME')
local now_text = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
local now, now_exact = tonumber(now_text), string.format('%.3f', time[1] * 1000 + time[2] / 1000)`,
  /** Whether a job needs no more than its data, its options and when it was added; long texts take longer as JSON. Wants `job_name`. */
  isPlain: `
local function is_plain(of)
  return of.name == job_name and of.data and #of.data + #(of.opts or '') < 500 and not (of.atm or of.parentKey or of.parent or of.deid or of.rjk or of.defa or of.stc)
    and (not of.priority or of.priority == '0')
end`,
  /** Whether an error is that of a key which is no hash. */
  isStranger: (error: string) => `string.find(${error}.err, 'WRONGTYPE', 1, true)`,
  /**
   * Returns the jobs that this token has claimed before, if its receipt says so, and nothing to a claim that was under way until
   * the worker's next one was answered. `sign` writes the receipt. Wants `prefix`, `active`, `receipt`, `token`, `lock_ms`.
   */
  claimedBefore: `
local last = redis.call('GET', receipt) or ''
local function turn(of) return tonumber(string.match(of, ':(%d+)$')) or 0 end
if turn(last) > turn(token) then return {now_exact, '0', 0, 0, {}, '[]', {}} end
if last == token then
  local found, from, ids, before = {}, 0, nil, nil
  repeat
    local locks = {}
    ids, before = redis.call('LRANGE', active, from, from + 999), #found
    for n, id in ipairs(ids) do locks[n] = prefix .. id .. ':lock' end
    for n, holder in ipairs(#ids > 0 and redis.call('MGET', unpack(locks)) or {}) do
      if holder == token then
        redis.call('PEXPIRE', locks[n], lock_ms)
        found[#found + 1] = ids[n]
        found[#found + 1] = redis.call('HGETALL', prefix .. ids[n])
      end
    end
    from = from + 1000
  until #ids < 1000 or (before > 0 and before == #found) -- they lie together
  return {now_exact, '0', 0, 0, {}, '[]', found}
end
local function sign()
  return redis.pcall('SET', receipt, token, 'PX', ${RECEIPT_MS})
end`,
  /** Whether the end of a job has been told before, and the answer was lost; or somebody else has ended it in the same way. */
  isEnded: (set: string, id: string, code: string) =>
    `((${code} == -2 or ${code} == -6) and redis.call('ZSCORE', ${set}, ${id}))`,
}

type ClaimReply = [
  now: string,
  next: string,
  limitedMs: number,
  isHeld: number,
  strangers: string[],
  /** JSON of an array: one text costs both sides less than many. */
  plain: string,
  special: (string | string[])[],
]

/** What the scripts of both kinds of claims return. */
export function asClaim(reply: unknown): Claim {
  const [now, next, limitedMs, isHeld, strangers, json, special] = reply as ClaimReply
  const plain: string[] = JSON.parse(json)
  const jobs: ClaimedJob[] = []
  for (let n = 0; n < plain.length; n += 4) {
    jobs.push({ id: plain[n] as string, data: plain[n + 1], opts: plain[n + 2], timestamp: plain[n + 3] })
  }
  for (let n = 0; n < special.length; n += 2) {
    const fields = fieldsOf(special[n + 1] as string[])
    jobs.push({ id: special[n] as string, data: fields.data, opts: fields.opts, timestamp: fields.timestamp, fields })
  }
  const nextAt = next === '' ? Number.POSITIVE_INFINITY : Number(next)
  return { now: Number(now), jobs, strangers, nextAt, limitedMs, isHeld: isHeld === 1 }
}

function fieldsOf(flat: readonly string[]): Fields {
  const fields: Record<string, string> = {}
  for (let n = 0; n < flat.length; n += 2) fields[flat[n] as string] = flat[n + 1] as string
  return fields
}

/** Of {@link Claims.complete}. */
export function asRefusals(flat: readonly (string | number)[]): Refusal[] {
  const refusals: Refusal[] = []
  for (let n = 0; n < flat.length; n += 2) refusals.push([String(flat[n]), Number(flat[n + 1])])
  return refusals
}

/** Ids, each with a text. */
export function pairsOf(flat: readonly string[]): [string, string][] {
  return flat.flatMap((id, n) => (n % 2 === 0 ? [[id, flat[n + 1] as string] as [string, string]] : []))
}
