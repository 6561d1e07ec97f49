import { Redis } from 'ioredis'
import { openPool } from './cancel.ts'
import { Host, setting } from './host.ts'

const BATCH = 250
const BATCHES = 4
/** What is added is due later than this. */
const LONGEST_REST_MS = 100

/* KEYS[1] ids by deadline, ARGV[1] now in milliseconds, ARGV[2] the most to take. Returns ids, and takes them away; if none is due, the next deadline. */
const POP = `
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
if #due > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1)
  return due
end
return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or false`

const host = new Host()
const { cancelMany } = openPool()
const key = setting('KEY')
const redis = new Redis(setting('REDIS_URL'))
redis.defineCommand('popDue', { numberOfKeys: 1, lua: POP })
const popDue = (redis as unknown as { popDue(...args: (string | number)[]): Promise<string[] | string | null> }).popDue

let underWay = 0
host.isBusy = () => underWay > 0

/** One of several that take turns: while one waits for PostgreSQL, another asks Redis. */
async function settle(): Promise<never> {
  for (;;) {
    underWay++
    const popped = await popDue.call(redis, key, Date.now(), BATCH)
    if (Array.isArray(popped)) await cancelMany(popped)
    underWay--
    if (!Array.isArray(popped)) await rest(popped === null ? Number.POSITIVE_INFINITY : Number(popped) - Date.now())
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(1, Math.min(ms, LONGEST_REST_MS))))
}

for (let n = 0; n < BATCHES; n++) {
  settle().catch((error: Error) => {
    process.stderr.write(`${error.stack}\n`)
    process.exit(1)
  })
}
await redis.ping()
host.ready()
