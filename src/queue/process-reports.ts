import type { LastSweep, ProcessReport } from '../observe/vitals.ts'
import type { Connection } from '../redis/connection.ts'
import type { NamedQueue } from '../redis/keys.ts'
import { timeOf } from '../redis/time.ts'
import type { Clock } from '../runtime/clock.ts'
import { createLoop } from '../runtime/loop.ts'
import type { Service } from '../runtime/service.ts'
import { untilAborted } from '../runtime/timeout.ts'
import type { OpenQueue } from './check-queue.ts'

const REPORT_EVERY_MS = 10_000
/** A process that has been silent for so long is gone. */
const FRESH_FOR_MS = 3 * REPORT_EVERY_MS

/*
 * KEYS[1] the reports, a hash: name of a process → until when the report counts, in epoch milliseconds by Redis' clock, and its JSON
 * ARGV[1] the name, ARGV[2] the JSON, ARGV[3] for how many milliseconds it counts
 * Drops the reports of processes that are gone.
 */
const WRITE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reports = redis.call('HGETALL', KEYS[1])
for i = 1, #reports, 2 do
  local expires = tonumber(string.match(reports[i + 1], '^%d+'))
  if not expires or expires < now then redis.call('HDEL', KEYS[1], reports[i]) end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + ARGV[3]) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
`

/** Tells the others every few seconds that this process runs, in one command, and at the stop that it has ended. */
export function createProcessReporter(options: {
  connection: Connection
  queue: NamedQueue
  name: string
  version: string
  /** Of this process; undefined: none yet. */
  lastSweep: () => LastSweep | undefined
  clock: Clock
}): Service {
  const { connection, queue, name, version, lastSweep, clock } = options
  const { redis } = connection
  const { processes } = queue.keys
  const startedAt = clock.now()
  let isReported = false

  async function report(): Promise<void> {
    await connection.untilReady()
    const json = JSON.stringify({ version, startedAt, sweep: lastSweep() })
    await redis.eval(WRITE, 1, processes, name, json, FRESH_FOR_MS)
    isReported = true
  }

  return createLoop({
    name: 'process-reporter',
    async step(signal) {
      // Whoever else uses Redis tells of what is wrong with it.
      await untilAborted(report(), signal).catch(() => {})
      return REPORT_EVERY_MS
    },
    async onStop() {
      if (isReported && redis.status === 'ready') await redis.hdel(processes, name).catch(() => {})
    },
    clock,
  })
}

/** The processes that run, by name. @throws ioredis' error */
export async function readProcessReports({ redis, keys }: Pick<OpenQueue, 'redis' | 'keys'>): Promise<ProcessReport[]> {
  const [now, reports] = await Promise.all([timeOf(redis), redis.hgetall(keys.processes)])
  return Object.entries(reports)
    .flatMap(([name, value]): ProcessReport[] => {
      const [, expires, json = ''] = /^(\d+) (.*)$/.exec(value) ?? []
      return Number(expires) > now ? [{ name, ...(JSON.parse(json) as Omit<ProcessReport, 'name'>) }] : []
    })
    .sort((a, b) => a.name.localeCompare(b.name))
}
