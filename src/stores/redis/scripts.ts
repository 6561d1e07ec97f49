/*
 * The scripts of the redis store. Times are epoch milliseconds by Redis' clock. KEYS[1] is the sorted set of unpaid orders.
 * Over many orders: KEYS[2] the stream of events, KEYS[3…] the hash of each order, ARGV for each its id and its deadline;
 * they return one array of strings for each order, in their order.
 * For one order: KEYS[2] its hash, KEYS[3] when an order last became paid, ARGV[1] its id; they return an array of strings.
 */

const NOW = `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
`

/**
 * Cancels the orders that are pending and past their deadline. The deadline in ARGV counts if the hash has none, or one that
 * is not a number.
 *
 * Returns {outcome, now, status, deadline}; outcome is cancelled, kept, missing or not-due, status is what was seen. A key of
 * another type counts as missing and spoils no other order. The last key is the stream of undelivered events, the last
 * argument who looks at the orders if somebody delivers events, or else empty.
 */
export const CANCEL_UNPAID = cancelling(`
      -- The event first: it is the only write of the three that can be refused, and nothing is undone.
      local event = redis.call('XADD', KEYS[2], 'MAXLEN', '~', 100000, '*',
        'type', 'order.cancelled', 'order_id', id, 'at', now, 'deadline', deadline)
      if undelivered then
        redis.call('XADD', undelivered, '*', 'event_id', event, 'type', 'order.cancelled', 'order_id', id, 'at', now,
          'data', '{"at":' .. now .. ',"deadline":' .. deadline .. ',"statusBefore":"pending","decidedBy":"' .. by .. '"}')
      end
      redis.call('HSET', KEYS[i], 'status', 'cancelled', 'cancelled_at', now)
      redis.call('ZREM', KEYS[1], id)`)

/** {@link CANCEL_UNPAID} that writes nothing: `cancelled` then means "would be". */
export const DRY_RUN = cancelling('')

function cancelling(writes: string): string {
  return `${NOW}
redis.call('ZCARD', KEYS[1]) -- an index or stream of another type fails here, before anything is written
redis.call('XLEN', KEYS[2])
local by = ARGV[#ARGV]
local undelivered = by ~= '' and KEYS[#KEYS]
if undelivered then redis.call('XLEN', undelivered) end
local outcomes = {}
for i = 3, #KEYS - 1 do
  local id = ARGV[2 * (i - 3) + 1]
  local order = redis.pcall('HMGET', KEYS[i], 'status', 'deadline')
  if order.err or not order[1] then
    outcomes[i - 2] = {'missing', now, '', ''}
  else
    local status = order[1]
    local deadline = order[2]
    if not tonumber(deadline or '') then deadline = ARGV[2 * (i - 3) + 2] end
    if status ~= 'pending' then
      outcomes[i - 2] = {'kept', now, status, deadline}
    elseif tonumber(deadline) > tonumber(now) then
      outcomes[i - 2] = {'not-due', now, status, deadline}
    else${writes}
      outcomes[i - 2] = {'cancelled', now, status, deadline}
    end
  end
end
return outcomes
`
}

/**
 * Records orders as pending, unless they are recorded already and not withdrawn. ARGV has for each also when it was placed.
 * Returns {result, deadline, status, placed_at}: recorded; unchanged or conflict (pending, with the deadline that counts);
 * settled.
 */
export const RECORD = `
local results = {}
for i = 3, #KEYS do
  local at = 3 * (i - 3)
  local id, deadline, placed = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local order = redis.call('HMGET', KEYS[i], 'status', 'deadline', 'placed_at')
  local status = order[1]
  if not status or status == 'withdrawn' then
    redis.call('HSET', KEYS[i], 'status', 'pending', 'deadline', deadline, 'placed_at', placed)
    redis.call('ZADD', KEYS[1], deadline, id)
    results[i - 2] = {'recorded', deadline, 'pending', placed}
  elseif status == 'pending' then
    results[i - 2] = {order[2] == deadline and 'unchanged' or 'conflict', order[2], status, order[3] or ''}
  else
    results[i - 2] = {'settled', order[2] or deadline, status, order[3] or ''}
  end
end
return results
`

/** Moves the deadline of a pending order to ARGV[2]. Returns {result, status}: moved, unchanged, settled or missing. */
export const MOVE = `
local order = redis.call('HMGET', KEYS[2], 'status', 'deadline')
if not order[1] or order[1] == 'withdrawn' then return {'missing', order[1] or ''} end
if order[1] ~= 'pending' then return {'settled', order[1]} end
if order[2] == ARGV[2] then return {'unchanged', order[1]} end
redis.call('HSET', KEYS[2], 'deadline', ARGV[2])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return {'moved', order[1]}
`

/** Withdraws a pending order. Returns {result, status}: withdrawn, settled or missing. */
export const WITHDRAW = `
local status = redis.call('HGET', KEYS[2], 'status')
if not status then return {'missing', ''} end
if status ~= 'pending' and status ~= 'withdrawn' then return {'settled', status} end
redis.call('HSET', KEYS[2], 'status', 'withdrawn')
redis.call('ZREM', KEYS[1], ARGV[1])
return {'withdrawn', status}
`

/**
 * Marks an order paid, unless it is cancelled. One that is not recorded is recorded as paid, so that scheduling it late
 * cannot cancel it. The first payment of a cancelled one is noted in its hash, with an event: `paid_late_at` says that this is done.
 *
 * KEYS[4] the stream of events, KEYS[5] that of undelivered ones, KEYS[6] is there if somebody delivers them, KEYS[7] the list of
 * orders that were paid late. Returns {result, at, deadline}: paid (at: since when), missing (it was; at: now), or cancelled (at:
 * since when; deadline: empty if there is none).
 */
export const PAY = `${NOW}
local order = redis.call('HMGET', KEYS[2], 'status', 'paid_at', 'cancelled_at', 'deadline', 'paid_late_at')
if order[1] == 'cancelled' then
  local cancelled, deadline = order[3] or now, order[4] or ''
  if not order[5] then
    redis.call('XLEN', KEYS[5]) -- a key of another type fails here, before anything is written
    redis.call('LLEN', KEYS[7])
    local event = redis.call('XADD', KEYS[4], 'MAXLEN', '~', 100000, '*', 'type', 'order.paid_late', 'order_id', ARGV[1],
      'at', now, 'deadline', deadline, 'cancelled_at', cancelled)
    if redis.call('EXISTS', KEYS[6]) == 1 then
      local function member(name, ms) return tonumber(ms) and ',"' .. name .. '":' .. ms or '' end
      redis.call('XADD', KEYS[5], '*', 'event_id', event, 'type', 'order.paid_late', 'order_id', ARGV[1], 'at', now,
        'data', '{"at":' .. now .. member('deadline', deadline) .. member('cancelledAt', cancelled) .. '}')
    end
    redis.call('HSET', KEYS[2], 'paid_late_at', now)
    redis.call('SET', KEYS[3], now)
    redis.call('RPUSH', KEYS[7], ARGV[1])
    redis.call('LTRIM', KEYS[7], -10000, -1)
  end
  return {'cancelled', cancelled, deadline}
end
if order[1] == 'paid' then return {'paid', order[2] or now, ''} end
redis.call('HSET', KEYS[2], 'status', 'paid', 'paid_at', now)
redis.call('SET', KEYS[3], now)
redis.call('ZREM', KEYS[1], ARGV[1])
return {order[1] and 'paid' or 'missing', now, ''}
`

/** KEYS[1] the list of orders that were paid late. Takes and returns the first ARGV[1] of them. */
export const TAKE_PAID_LATE = `
local ids = redis.call('LRANGE', KEYS[1], 0, ARGV[1] - 1)
redis.call('LTRIM', KEYS[1], #ids, -1)
return ids
`

/**
 * A page of the unpaid orders by deadline, then id. ARGV: the latest deadline, the size of the page; for all pages but the
 * first the deadline and the id of the last order of the page before. Returns members and scores in turn, in their order;
 * those at the end may be later than the latest deadline.
 *
 * The page begins after the last order, which is found by its rank. If that order is gone or moved, the script searches for
 * its place among those of the same deadline, which Redis keeps in the order of their bytes.
 */
export const PAGE = `
local instant, size, deadline, id = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
if not id then return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', instant, 'WITHSCORES', 'LIMIT', 0, size) end
-- Lua's operators compare by the server's locale.
local function isBefore(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then return a:byte(i) < b:byte(i) end
  end
  return #a < #b
end
local start
local score = redis.call('ZSCORE', KEYS[1], id)
if score and tonumber(score) == tonumber(deadline) then
  start = redis.call('ZRANK', KEYS[1], id) + 1
else
  start = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. deadline)
  local stop = redis.call('ZCOUNT', KEYS[1], '-inf', deadline)
  while start < stop do
    local middle = math.floor((start + stop) / 2)
    local member = redis.call('ZRANGE', KEYS[1], middle, middle)[1]
    if isBefore(id, member) then stop = middle else start = middle + 1 end
  end
end
return redis.call('ZRANGE', KEYS[1], start, start + size - 1, 'WITHSCORES')
`
