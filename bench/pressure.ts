import { Redis } from 'ioredis'
import pg from 'pg'
import { startWorker, type WorkerProcess } from './child.ts'
import type { Contender, Running } from './contender.ts'
import { cpuSeconds } from './cpu.ts'
import { withDatabase } from './orders.ts'
import type { Context, Measured, Question } from './question.ts'
import { OURS } from './question-tables.ts'
import { residentBytes } from './resident.ts'
import { sleep, untilFinished } from './run.ts'
import type { Servers } from './servers.ts'

const PER_SECOND = 5_000
const QUICK_PER_SECOND = 500
/** One in so many is paid. */
const PAID_EVERY = 10
const AHEAD_MS = 15_000
const QUICK_AHEAD_MS = 5_000
/** Until the producer has begun. */
const START_MS = 3_000
const MINUTE_MS = 60_000
/** An order that is not cancelled this long after the last deadline is missing. */
const GIVE_UP_MS = 20_000

/** What a day is like in which somebody has forgotten to end a transaction. */
export function pressureQuestion(): Question {
  return {
    name: 'pressure',
    title:
      `${PER_SECOND.toLocaleString('en')} orders a second are placed and fall due at random moments, one in ${PAID_EVERY} of them paid, on the same two cores, while ` +
      'a transaction is left open in PostgreSQL, so that VACUUM frees no row version: lateness by the minute, and what it takes.',
    columns: [
      { key: 'workerCpu', title: 'CPU of the worker', unit: 'µs/order', better: 'less' },
      { key: 'p50', title: 'lateness p50', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'p99', title: 'p99', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'max', title: 'max', unit: 'ms', better: 'less', decimals: 1 },
      { key: 'workerMb', title: 'worker', unit: 'MB', better: 'less' },
      { key: 'redisMb', title: 'Redis', unit: 'MB', better: 'less' },
      { key: 'databaseMb', title: 'tables', unit: 'MB', better: 'less' },
      { key: 'missing', title: 'missing', unit: 'orders', better: 'less' },
      { key: 'wrong', title: 'wrong', unit: 'orders', better: 'less' },
    ],
    rounds: 1,
    isLong: true,
    seconds: 60,
    async run(context) {
      const ours = context.contenders.find(({ name }) => name === OURS)
      if (!ours) return []
      try {
        return await measure(context, ours)
      } catch (error) {
        context.warn(`ours: ${(error as Error).message}`)
        return []
      }
    },
  }
}

async function measure(context: Context, ours: Contender): Promise<Measured[]> {
  const { servers, round, minutes, quick } = context
  const perSecond = quick ? QUICK_PER_SECOND : PER_SECOND
  const aheadMs = quick ? QUICK_AHEAD_MS : AHEAD_MS
  await servers.reset()
  const running = await ours.start(servers)
  const forgotten = await leaveTransactionOpen(servers)
  const from = Date.now() + START_MS + aheadMs
  const until = from + minutes * MINUTE_MS
  let producer: WorkerProcess | undefined
  try {
    producer = await startWorker('steady-producer', {
      REDIS_URL: servers.redisUrl,
      DATABASE_URL: servers.databaseUrl,
      PER_SECOND: `${perSecond}`,
      PAID_EVERY: `${PAID_EVERY}`,
      AHEAD_MS: `${aheadMs}`,
      FROM: `${from}`,
      UNTIL: `${until}`,
    })
    const taken = await takeByTheMinute({ context, running, producer, perSecond, from, until })
    await untilFinished({ running, from: until, until: until + GIVE_UP_MS })
    await producer.stop()
    await forgotten.end()
    context.progress('reading what has become of them')
    const settled = await readByTheMinute(servers, from)
    return settled.map((figures, index) => ({
      question: 'pressure',
      contender: OURS,
      case: `minute ${index + 1}`,
      round,
      figures: { ...taken[index], ...figures },
    }))
  } finally {
    await producer?.stop()
    await running.stop()
    await forgotten.end()
  }
}

/** As a console does in which somebody looked something up, and went home. */
async function leaveTransactionOpen(servers: Servers): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: servers.databaseUrl })
  await client.connect()
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await client.query('SELECT count(*) FROM orders')
  return client
}

/** What it takes, at the end of each minute. */
async function takeByTheMinute(options: {
  context: Context
  running: Running
  producer: WorkerProcess
  perSecond: number
  from: number
  until: number
}): Promise<Record<string, number>[]> {
  const { context, running, producer, perSecond, from, until } = options
  const { servers, progress } = context
  const [pid = 0] = running.pids
  const taken: Record<string, number>[] = []
  await sleep(from - Date.now())
  for (let start = from; start < until; start += MINUTE_MS) {
    progress(`minute ${taken.length + 1}`)
    const end = Math.min(start + MINUTE_MS, until)
    const before = cpuSeconds(pid)
    await sleep(end - Date.now())
    producer.finished() // throws if it has ended
    taken.push({
      workerCpu: ((cpuSeconds(pid) - before) / (((end - start) / 1_000) * perSecond)) * 1_000_000,
      workerMb: residentBytes(pid).now / 1e6,
      redisMb: (await usedMemory(servers)) / 1e6,
      databaseMb: (await databaseBytes(servers)) / 1e6,
    })
  }
  return taken
}

async function usedMemory({ redisUrl }: Servers): Promise<number> {
  const redis = new Redis(redisUrl)
  try {
    return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
  } finally {
    redis.disconnect()
  }
}

async function databaseBytes(servers: Servers): Promise<number> {
  const { rows } = await withDatabase(servers, (database) =>
    database.query<{ bytes: number }>('SELECT pg_database_size(current_database())::float8 AS bytes'),
  )
  return rows[0]?.bytes ?? Number.NaN
}

interface Settled extends Record<string, number> {
  p50: number
  p99: number
  max: number
  missing: number
  wrong: number
}

/** What has become of the orders that were due in each minute; one that was not cancelled counts as late as that is given up. */
async function readByTheMinute(servers: Servers, from: number): Promise<Settled[]> {
  const { rows } = await withDatabase(servers, (database) => database.query<Settled>(BY_THE_MINUTE, [from]))
  return rows
}

const BY_THE_MINUTE = `
WITH settled AS (
  SELECT floor((extract(epoch FROM payment_deadline) * 1000 - $1) / ${MINUTE_MS}) AS minute, status, paid_at IS NOT NULL AS paid,
    (extract(epoch FROM settled_at - payment_deadline) * 1000)::float8 AS ms
  FROM orders)
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY coalesce(ms, ${GIVE_UP_MS})) FILTER (WHERE NOT paid) AS p50,
  percentile_disc(0.99) WITHIN GROUP (ORDER BY coalesce(ms, ${GIVE_UP_MS})) FILTER (WHERE NOT paid) AS p99,
  max(coalesce(ms, ${GIVE_UP_MS})) FILTER (WHERE NOT paid) AS max,
  (count(*) FILTER (WHERE NOT paid AND status <> 'cancelled'))::int AS missing,
  (count(*) FILTER (WHERE paid AND status <> 'paid' OR ms < 0))::int AS wrong
FROM settled GROUP BY minute ORDER BY minute`
