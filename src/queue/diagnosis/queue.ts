import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { peekBrake } from '../../brake/redis-brake.ts'
import { examine, type Finding, finding, ok } from '../../doctor/finding.ts'
import { LATE_AFTER_MS } from '../../order/promise.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { Connection } from '../../redis/connection.ts'
import type { NamedQueue, QueueKeys } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { redisErrorCode } from '../../redis/reply.ts'
import type { Clock } from '../../runtime/clock.ts'
import { count, howLong, number } from '../../runtime/human-numbers.ts'
import { dueAtOf } from '../jobs.ts'
import { openQueue } from '../open-queue.ts'
import { NEVER_SUCCEED } from '../replay/selection.ts'

const ANSWER_TIMEOUT_MS = 3_000
const WITHIN_MS = 8_000
/** Of the active and of the failed jobs, so many are read one by one. */
const MOST_JOBS_READ = 1_000

/** What there is to know of a queue. */
interface State {
  counts: Record<string, number>
  isPaused: boolean
  /** Undefined where CLIENT LIST is not allowed. */
  workers: number | undefined
  /** How long ago the oldest job was due that nobody has taken; undefined: none is due. */
  overdueMs: number | undefined
  /** Jobs under way whose worker no longer holds them. */
  stuck: number
  /** How often each error code occurs among the newest failed jobs. */
  failures: Map<string, number>
  /** Why, and for how long already, the brake holds all cancellations back. */
  brake: { reason: string; forMs: number } | undefined
}

/** Looks at the queue, and changes nothing. Redis is reachable. */
export async function diagnoseQueue(options: {
  redis: RedisAddress
  queue: NamedQueue
  clock: Clock
}): Promise<Finding[]> {
  const { redis: address, queue: named, clock } = options
  const connection = new Connection({ address, profile: commandProfile(address, ANSWER_TIMEOUT_MS) })
  try {
    return await examine({
      code: 'queue-reachable',
      withinMs: WITHIN_MS,
      clock,
      look: async () => {
        try {
          await connection.untilReady()
          const { redis } = connection
          const queue = openQueue({ queue: named, redis, readOnly: true })
          const state = await readState({ queue, redis, keys: named.keys, now: clock.now() })
          await queue.close()
          return looks.map((look) => look(state))
        } catch (error) {
          throw connection.explain(error)
        }
      },
    })
  } finally {
    connection.close()
  }
}

async function readState(options: { queue: Queue; redis: Redis; keys: QueueKeys; now: number }): Promise<State> {
  const { queue } = options
  const states = ['delayed', 'wait', 'prioritized', 'active', 'completed', 'failed'] as const
  const counts = await queue.getJobCounts(...states)
  return {
    counts,
    isPaused: await queue.isPaused(),
    workers: await countWorkers(queue),
    overdueMs: await readOverdue(options),
    stuck: await countStuck(options),
    failures: await readFailures(options),
    brake: await readBrake(options),
  }
}

async function countWorkers(queue: Queue): Promise<number | undefined> {
  try {
    const workers = await queue.getWorkers()
    // Where there is no CLIENT command BullMQ answers with one worker that says so.
    return workers.some(({ rawname }) => rawname === undefined) ? undefined : workers.length
  } catch (error) {
    if (redisErrorCode(error) === undefined) throw error
    return undefined
  }
}

async function readOverdue(options: { redis: Redis; keys: QueueKeys; now: number }): Promise<number | undefined> {
  const { redis, keys, now } = options
  const due: number[] = []
  const [, score] = await redis.zrange(keys.delayed, 0, '0', 'WITHSCORES')
  if (score !== undefined) due.push(dueAtOf(Number(score)))
  const next = await redis.lindex(keys.wait, -1)
  if (next != null) {
    const [timestamp, delay] = await redis.hmget(keys.job(next), 'timestamp', 'delay')
    if (timestamp != null) due.push(Number(timestamp) + Number(delay ?? 0))
  }
  const late = due.map((at) => now - at).filter((ms) => ms > 0)
  return late.length > 0 ? Math.max(...late) : undefined
}

async function countStuck(options: { redis: Redis; keys: QueueKeys; now: number }): Promise<number> {
  const { redis, keys, now } = options
  const ids = await redis.lrange(keys.active, -MOST_JOBS_READ, -1)
  const jobs = await Promise.all(
    ids.map(async (id) => ({
      isLocked: await redis.exists(keys.jobLock(id)),
      takenAt: Number(await redis.hget(keys.job(id), 'processedOn')),
    })),
  )
  return jobs.filter(({ isLocked, takenAt }) => !isLocked && now - takenAt > LATE_AFTER_MS).length
}

async function readFailures(options: { redis: Redis; keys: QueueKeys }): Promise<Map<string, number>> {
  const { redis, keys } = options
  const ids = await redis.zrevrange(keys.failed, 0, MOST_JOBS_READ - 1)
  const reasons = await Promise.all(ids.map((id) => redis.hget(keys.job(id), 'failedReason')))
  const failures = new Map<string, number>()
  for (const reason of reasons) {
    // Ours begin with a code; what others have written can hold anything, and is not shown.
    const code = /^([A-Z][A-Z_]+): /.exec(reason ?? '')?.[1] ?? 'OTHER'
    failures.set(code, (failures.get(code) ?? 0) + 1)
  }
  return new Map([...failures].sort(([, a], [, b]) => b - a))
}

async function readBrake(options: { redis: Redis; keys: QueueKeys; now: number }): Promise<State['brake']> {
  const { now } = options
  const { engaged, reason = 'unknown', since = now } = await peekBrake(options)
  return engaged ? { reason, forMs: Math.max(0, now - since) } : undefined
}

const looks: readonly ((state: State) => Finding)[] = [
  ({ counts }) => {
    const { delayed = 0, active = 0, completed = 0, failed = 0 } = counts
    return ok(
      'queue-counts',
      `${number(delayed)} waiting for their deadline, ${number(due(counts))} due, ${number(active)} being checked, ${number(completed)} finished, ${number(failed)} failed`,
    )
  },

  ({ isPaused }) => {
    if (!isPaused) return ok('queue-paused', 'not paused')
    return finding('warning', 'queue-paused', {
      what: 'is paused',
      meaning: 'No check is taken from it, by any worker, until it is resumed.',
      fix: '# on /board: Resume; or in code: await new Queue(name, { connection, prefix }).resume()',
    })
  },

  ({ workers, counts, overdueMs }) => {
    if (workers === undefined) {
      return finding('info', 'queue-worker', {
        what: 'cannot be told here: CLIENT LIST is not allowed',
        meaning: 'Whether a worker is there shows in queue-overdue.',
      })
    }
    if (workers > 0) return ok('queue-worker', `${count(workers, 'worker')} connected`)
    const isLate = due(counts) > 0 || (overdueMs ?? 0) > LATE_AFTER_MS
    return finding(isLate ? 'error' : counts.delayed ? 'warning' : 'info', 'queue-worker', {
      what: 'no worker is connected',
      meaning: isLate
        ? 'Nobody works on the queue: orders that are due are not cancelled.'
        : 'Nobody works on the queue: orders that fall due now will not be cancelled.',
      fix: ['# start the daemon, with this QUEUE_NAME and QUEUE_PREFIX:', 'order-expiry start'],
    })
  },

  ({ overdueMs, isPaused, workers }) => {
    if (overdueMs === undefined) return ok('queue-overdue', 'nothing is overdue')
    const what = `the oldest check was due ${howLong(overdueMs)} ago`
    if (overdueMs <= LATE_AFTER_MS) return ok('queue-overdue', what)
    return finding('error', 'queue-overdue', {
      what,
      meaning: 'The orders behind it are not cancelled, and their stock is not given back.',
      fix: isPaused
        ? '# resume the queue, see queue-paused'
        : workers === 0
          ? 'order-expiry start'
          : '# look at the log of the daemon and at /readyz: it is stuck, or works on another queue, or has too much to do',
    })
  },

  ({ stuck }) => {
    if (stuck === 0) return ok('queue-stuck', 'no check was left half done')
    return finding('warning', 'queue-stuck', {
      what: `${count(stuck, 'check')} begun and not finished, by a worker that is gone`,
      meaning: 'A worker that runs takes them over within 25 s; if they stay, none runs.',
      fix: ['# start the daemon, or restart it if it runs already:', 'order-expiry start'],
    })
  },

  ({ counts: { failed = 0 }, failures }) => {
    if (failed === 0) return ok('queue-failed', 'no check has failed for good')
    const codes = [...failures].map(([code, times]) => `${code} × ${number(times)}`).join(', ')
    const newest = failed > MOST_JOBS_READ ? `, of the newest ${number(MOST_JOBS_READ)}` : ''
    const bad = NEVER_SUCCEED.filter((code) => failures.has(code))
    const replayAll = ['order-expiry replay --all --dry-run', 'order-expiry replay --all']
    const replayBad = [
      `# ${bad.join(' and ')}: correct the data of the jobs on /board, then`,
      `order-expiry replay --code ${bad.join(',')}`,
    ]
    return finding('warning', 'queue-failed', {
      what: `${count(failed, 'check')} failed for good (${codes}${newest})`,
      meaning: 'The queue no longer looks at these orders. Once the reason is gone, have them looked at again.',
      fix: [...(bad.length < failures.size ? replayAll : []), ...(bad.length > 0 ? replayBad : [])],
    })
  },

  ({ brake }) => {
    if (!brake) return ok('queue-brake', 'the brake is not engaged')
    return finding('warning', 'queue-brake', {
      what: `the brake is engaged, for ${howLong(brake.forMs)} (${brake.reason})`,
      meaning: 'No process cancels an order. Find out first whether payments still arrive.',
      fix: ['order-expiry brake status', 'order-expiry brake release'],
    })
  },
]

/** Those that a worker could take now. */
function due({ wait = 0, prioritized = 0 }: Record<string, number>): number {
  return wait + prioritized
}
