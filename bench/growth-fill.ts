import { Redis } from 'ioredis'
import type { BenchOrder, Contender } from './contender.ts'
import { withDatabase } from './orders.ts'
import type { Servers } from './servers.ts'

const QUEUE = 'bull:check-payment'
/** Few enough that Redis serves others in between. */
const JOBS_AT_ONCE = 2_000

/** Orders by number, from the first to before the last. */
interface Range {
  from: number
  to: number
}

/** Deadlines in epoch milliseconds: that of the first order, and how much later each following one is. */
interface Spacing {
  firstDueAt: number
  stepMs: number
}

/**
 * Afterwards there is a row and a waiting job for each of the orders. One job is placed as ever; the others are copies of it,
 * each with its own id and deadline, because a million would take a minute otherwise.
 */
export async function fillWaiting(options: {
  servers: Servers
  contender: Contender
  range: Range
  spacing: Spacing
}): Promise<void> {
  const { servers, contender, range, spacing } = options
  await withDatabase(servers, (database) =>
    database.query(
      `INSERT INTO orders (id, status, payment_deadline)
       SELECT ${ID_SQL}, 'pending', to_timestamp(($3::float8 + floor((n - $1) * $4::float8)) / 1000)
       FROM generate_series($1::int, $2::int - 1) AS n`,
      [range.from, range.to, spacing.firstDueAt, spacing.stepMs],
    ),
  )
  await digest(servers)
  const redis = new Redis(servers.redisUrl)
  try {
    const template = { orderId: idOf(range.from, range), deadline: spacing.firstDueAt, paid: false }
    await contender.place(servers, [template])
    await copyJobs({ redis, template, range, spacing })
  } finally {
    redis.disconnect()
  }
}

/** Afterwards there are so many more rows of orders that were settled long ago, half of them paid. */
export async function fillSettled(servers: Servers, range: Range): Promise<void> {
  await withDatabase(servers, (database) =>
    database.query(
      `INSERT INTO orders (id, status, paid_at, payment_deadline, cancelled_at, settled_at)
       SELECT ${ID_SQL}, CASE WHEN n % 2 = 0 THEN 'paid' ELSE 'cancelled' END, CASE WHEN n % 2 = 0 THEN at END, at,
         CASE WHEN n % 2 = 1 THEN at END, at
       FROM generate_series($1::int, $2::int - 1) AS n, LATERAL (SELECT now() - make_interval(secs => n) AS at) AS long_ago`,
      [range.from, range.to],
    ),
  )
  await digest(servers)
}

/** Has PostgreSQL do now what it has put off, so that it does not do it during the next measurement. */
async function digest(servers: Servers): Promise<void> {
  await withDatabase(servers, async (database) => {
    await database.query('VACUUM (ANALYZE) orders')
    await database.query('CHECKPOINT')
  })
}

async function copyJobs(options: {
  redis: Redis
  template: BenchOrder
  range: Range
  spacing: Spacing
}): Promise<void> {
  const { redis, template, range, spacing } = options
  const key = `${QUEUE}:order-${template.orderId}`
  const delay = await redis.hget(key, 'delay')
  const before = await redis.zcard(`${QUEUE}:delayed`)
  for (let from = range.from + 1; from < range.to; from += JOBS_AT_ONCE) {
    const to = Math.min(from + JOBS_AT_ONCE, range.to)
    const texts = [template.orderId, template.deadline, delay]
    await redis.eval(COPY, 2, key, `${QUEUE}:delayed`, ...texts.map(String), ...numbers({ from, to, range, spacing }))
  }
  const added = (await redis.zcard(`${QUEUE}:delayed`)) - before
  if (added !== range.to - range.from - 1)
    throw new Error(`expected ${range.to - range.from - 1} more jobs, not ${added}`)
}

function numbers(options: { from: number; to: number; range: Range; spacing: Spacing }): number[] {
  const { from, to, range, spacing } = options
  return [from, to, range.from, range.to, spacing.firstDueAt, spacing.stepMs]
}

/**
 * The id of an order of a range, in the form of a UUID. Evenly over all UUIDs, so that random ones lie between them, and in
 * order, so that the index is filled from one end. {@link ID_SQL} and {@link COPY} say the same.
 */
export function idOf(number: number, { from, to }: Range): string {
  const place = Math.floor((number - from) * (2 ** 32 / (to - from)))
  return `${place.toString(16).padStart(8, '0')}-0000-4000-8000-${number.toString(16).padStart(12, '0')}`
}

const ID_SQL = `lpad(to_hex(floor((n - $1::int)::float8 * (4294967296::float8 / ($2::int - $1::int)))::bigint), 8, '0')
  || '-0000-4000-8000-' || lpad(to_hex(n), 12, '0')`

/**
 * Copies a waiting job.
 * KEYS: its hash; the delayed set.
 * ARGV: its order id, deadline and delay; numbers of the first copy and after the last; the range; firstDueAt; stepMs
 */
const COPY = `
local fields = redis.call('HGETALL', KEYS[1])
local delayed = KEYS[2]
local id, deadline, delay = ARGV[1], ARGV[2], ARGV[3]
local from, to, rangeFrom, rangeTo = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local firstDueAt, stepMs = tonumber(ARGV[8]), tonumber(ARGV[9])
local prefix = KEYS[1]:sub(1, #KEYS[1] - #id)
local queue = #delayed - #'delayed'
-- Where id, deadline and delay go, before any of them is there: the digits of one may be part of another.
local idPattern = id:gsub('%-', '%%-')
local places = { [deadline] = '<deadline>', [delay] = '<delay>' }
for index = 2, #fields, 2 do
  fields[index] = fields[index]:gsub(idPattern, '<id>'):gsub('%d+', places)
end
for n = from, to - 1 do
  local place = math.floor((n - rangeFrom) * (4294967296 / (rangeTo - rangeFrom)))
  local newId = string.format('%08x', place) .. '-0000-4000-8000-' .. string.format('%012x', n)
  local later = math.floor((n - rangeFrom) * stepMs)
  local own = {
    ['<id>'] = newId,
    ['<deadline>'] = string.format('%.0f', firstDueAt + later),
    ['<delay>'] = string.format('%.0f', tonumber(delay) + later),
  }
  local copy = {}
  for index, text in ipairs(fields) do copy[index] = text:gsub('<%a+>', own) end
  redis.call('HSET', prefix .. newId, unpack(copy))
  redis.call('ZADD', delayed, string.format('%.0f', (firstDueAt + later) * 4096), prefix:sub(queue + 1) .. newId)
end`
