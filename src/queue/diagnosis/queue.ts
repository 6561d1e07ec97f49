import type { Queue } from 'bullmq'
import { peekBrake, repairOf } from '../../brake/redis-brake.ts'
import { examine, type Finding, type FindingCode, finding, listed, ok } from '../../doctor/finding.ts'
import { asOrderExpiryError } from '../../errors.ts'
import { LATE_AFTER_MS } from '../../order/promise.ts'
import type { RedisAddress } from '../../redis/address.ts'
import { Connection } from '../../redis/connection.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { commandProfile } from '../../redis/profiles.ts'
import { unlessRefused } from '../../redis/reply.ts'
import { timeOf } from '../../redis/time.ts'
import type { Clock } from '../../runtime/clock.ts'
import { count, howLong, number } from '../../runtime/human-numbers.ts'
import type { OpenQueue } from '../check-queue.ts'
import { readClockReports } from '../clock-reports.ts'
import { dueAtOf } from '../due-score.ts'
import { openQueue } from '../open-queue.ts'
import { codeOf, type FailureCode, NEVER_SUCCEED } from '../replay/selection.ts'
import { lookAtClocks } from './clocks.ts'
import { kindsOfKeys, lookAtKeyKinds } from './key-kinds.ts'
import { lookAtPermissions } from './permissions.ts'
import { lookAtScripts, readUnknownScripts } from './scripts.ts'

const ANSWER_TIMEOUT_MS = 3_000
const QUEUE_LIMIT_MS = 8_000
/** At most this many of the active and of the failed jobs are read one by one. */
const MOST_JOBS_READ = 1_000

/** `now` by the clock of Redis. */
type Source = OpenQueue & { connection: Connection; now: number }

/**
 * Looks at the queue, and changes nothing. Redis is reachable. What Redis does not let us look at is told, part by part.
 *
 * @param options.keepsOrders whether the orders themselves are in it. Default false
 */
export async function diagnoseQueue(options: {
  redis: RedisAddress
  queue: NamedQueue
  keepsOrders?: boolean
  clock: Clock
}): Promise<Finding[]> {
  const { redis: address, queue: named, keepsOrders = false, clock } = options
  const profile = commandProfile(address, ANSWER_TIMEOUT_MS)
  const connection = new Connection({ address, profile })
  const { redis } = connection
  const kinds = kindsOfKeys(named.keys, { keepsOrders })
  const look = async () => {
    await connection.untilReady()
    const queue = openQueue({ queue: named, redis, readOnly: true })
    const now = (await unlessRefused(timeOf(redis))) ?? clock.now()
    const { state, unread } = await readState({ queue, redis, connection, keys: named.keys, now })
    return listed(
      await lookAtPermissions({ connection, address, profile, kinds }),
      await lookAtKeyKinds(connection, kinds),
      looks.map((look) => lookUnlessUnread(look, { state, unread })),
    )
  }
  try {
    return await examine({ code: 'queue-reachable', withinMs: QUEUE_LIMIT_MS, clock, look: () => connection.ask(look) })
  } finally {
    connection.close()
  }
}

const PARTS = {
  now: async ({ now }: Source) => now,
  counts: ({ queue }: Source) => queue.getJobCounts('delayed', 'wait', 'prioritized', 'active', 'completed', 'failed'),
  isPaused: ({ queue }: Source) => queue.isPaused(),
  workers: ({ queue }: Source) => countWorkers(queue),
  scripts: readUnknownScripts,
  overdueMs: readOverdue,
  stuck: countStuck,
  failures: readFailures,
  brake: readBrake,
  clocks: (source: Source) => unlessRefused(readClockReports(source)),
}

type State = { [Part in keyof typeof PARTS]: Awaited<ReturnType<(typeof PARTS)[Part]>> }

/** Each part of the state, or why Redis does not let us read it. */
async function readState(source: Source) {
  const state: Partial<Record<keyof State, unknown>> = {}
  const unread = new Map<keyof State, string>()
  for (const [part, read] of Object.entries(PARTS) as [keyof State, (source: Source) => Promise<unknown>][]) {
    const onRefused = (error: Error) => unread.set(part, source.connection.explain(error).message)
    state[part] = await unlessRefused(read(source), onRefused)
  }
  return { state: state as State, unread }
}

/** @returns `unreadable`, and what to do, where Redis answers but does not tell */
async function readBrake(source: Source) {
  try {
    return await peekBrake(source)
  } catch (error) {
    const { code, message: unreadable, cause } = asOrderExpiryError(error)
    if (code !== 'REDIS_REFUSED') throw error
    return { unreadable, fix: repairOf({ error: cause, keys: source.keys }) }
  }
}

/** @returns undefined where CLIENT LIST is not allowed */
async function countWorkers(queue: Queue): Promise<number | undefined> {
  const workers = await unlessRefused(queue.getWorkers())
  // Where there is no CLIENT command BullMQ answers with one worker that says so.
  return workers?.some(({ rawname }) => rawname === undefined) ? undefined : workers?.length
}

/** How long ago the oldest job that nobody has taken was due. */
async function readOverdue({ redis, keys, now }: Source): Promise<number> {
  const due: number[] = []
  const [, score] = await redis.zrange(keys.delayed, 0, '0', 'WITHSCORES')
  if (score !== undefined) due.push(dueAtOf(Number(score)))
  const next = await redis.lindex(keys.wait, -1)
  if (next != null) {
    // What is in the place of a job may be something else, with anything in it.
    const [timestamp, delay] = (await unlessRefused(redis.hmget(keys.job(next), 'timestamp', 'delay'))) ?? []
    const dueAt = Number(timestamp ?? Number.NaN) + Number(delay ?? 0)
    if (Number.isFinite(dueAt)) due.push(dueAt)
  }
  return Math.max(0, now - Math.min(...due))
}

/** Jobs under way whose worker no longer holds them. */
async function countStuck({ redis, keys, now }: Source): Promise<number> {
  const ids = await redis.lrange(keys.active, -MOST_JOBS_READ, -1)
  const isStuck = async (id: string) =>
    !(await redis.exists(keys.jobLock(id))) &&
    now - Number(await unlessRefused(redis.hget(keys.job(id), 'processedOn'))) > LATE_AFTER_MS
  return (await Promise.all(ids.map(isStuck))).filter(Boolean).length
}

/** How often each error code occurs among the newest failed jobs, the most frequent one first. */
async function readFailures({ redis, keys }: Source): Promise<ReadonlyMap<FailureCode, number>> {
  const ids = await redis.zrevrange(keys.failed, 0, MOST_JOBS_READ - 1)
  const reasons = await Promise.all(ids.map((id) => unlessRefused(redis.hget(keys.job(id), 'failedReason'))))
  const failures = new Map<FailureCode, number>()
  for (const reason of reasons) {
    const code = codeOf(reason ?? '') // what others have written there can hold anything, and is not shown
    failures.set(code, (failures.get(code) ?? 0) + 1)
  }
  return new Map([...failures].sort(([, a], [, b]) => b - a))
}

interface Look {
  code: FindingCode
  needs: readonly (keyof State)[]
  tell: (state: State) => Finding
}

function lookUnlessUnread(
  { code, needs, tell }: Look,
  { state, unread }: { state: State; unread: ReadonlyMap<keyof State, string> },
): Finding {
  const why = needs.map((part) => unread.get(part)).find((one) => one !== undefined)
  return why === undefined ? tell(state) : finding('info', code, { what: `could not be looked at: ${why}` })
}

const looks: readonly Look[] = [
  { code: 'queue-clocks', needs: ['clocks'], tell: lookAtClocks },

  {
    code: 'queue-counts',
    needs: ['counts'],
    tell: ({ counts }) => {
      const { delayed = 0, active = 0, completed = 0, failed = 0 } = counts
      const toCome = `${number(delayed)} waiting for their deadline, ${number(due(counts))} due`
      const begun = `${number(active)} being checked, ${number(completed)} finished, ${number(failed)} failed`
      return ok('queue-counts', `${toCome}, ${begun}`)
    },
  },

  {
    code: 'queue-paused',
    needs: ['isPaused'],
    tell: ({ isPaused }) => {
      if (!isPaused) return ok('queue-paused', 'not paused')
      return finding('warning', 'queue-paused', {
        what: 'is paused',
        meaning: 'No check is taken from it, by any worker, until it is resumed.',
        fix: '# on /board: Resume; or in code: await new Queue(name, { connection, prefix }).resume()',
      })
    },
  },

  {
    code: 'queue-worker',
    needs: ['workers', 'counts', 'overdueMs'],
    tell: ({ workers, counts, overdueMs }) => {
      if (workers === undefined) {
        return finding('info', 'queue-worker', {
          what: 'cannot be told here: CLIENT LIST is not allowed',
          meaning: 'queue-overdue shows whether a worker is running.',
        })
      }
      if (workers > 0) return ok('queue-worker', `${count(workers, 'worker')} connected`)
      const isLate = due(counts) > 0 || overdueMs > LATE_AFTER_MS
      return finding(isLate ? 'error' : counts.delayed ? 'warning' : 'info', 'queue-worker', {
        what: 'no worker is connected',
        meaning: isLate
          ? 'Nobody works on the queue: orders that are due are not cancelled.'
          : 'Nobody works on the queue: orders that fall due now will not be cancelled.',
        fix: ['# start the daemon, with this QUEUE_NAME and QUEUE_PREFIX:', 'order-expiry start'],
      })
    },
  },

  { code: 'queue-scripts', needs: ['scripts'], tell: lookAtScripts },

  {
    code: 'queue-overdue',
    needs: ['overdueMs', 'isPaused', 'workers'],
    tell: ({ overdueMs, isPaused, workers }) => {
      if (overdueMs === 0) return ok('queue-overdue', 'nothing is overdue')
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
  },

  {
    code: 'queue-stuck',
    needs: ['stuck'],
    tell: ({ stuck }) => {
      if (stuck === 0) return ok('queue-stuck', 'no check was left half done')
      return finding('warning', 'queue-stuck', {
        what: `${count(stuck, 'check')} begun and not finished, by a worker that is gone`,
        meaning: 'A running worker takes them over within 25 s; if they stay, none is running.',
        fix: ['# start the daemon, or restart it if it runs already:', 'order-expiry start'],
      })
    },
  },

  {
    code: 'queue-failed',
    needs: ['counts', 'failures'],
    tell: ({ counts: { failed = 0 }, failures }) => {
      if (failed === 0) return ok('queue-failed', 'no check has failed for good')
      const codes = [...failures].map(([code, times]) => `${code} × ${number(times)}`).join(', ')
      const newest = failed > MOST_JOBS_READ ? `, of the newest ${number(MOST_JOBS_READ)}` : ''
      const bad = NEVER_SUCCEED.filter((code) => failures.has(code))
      const replayAll = ['order-expiry replay --all --dry-run', 'order-expiry replay --all']
      const correct = `# ${bad.join(' and ')}: correct the data of the jobs on /board, then`
      const replayBad = [correct, `order-expiry replay --code ${bad.join(',')}`]
      return finding('warning', 'queue-failed', {
        what: `${count(failed, 'check')} failed for good (${codes}${newest})`,
        meaning: 'The queue no longer checks these orders. Once the cause is fixed, replay them.',
        fix: [...(bad.length < failures.size ? replayAll : []), ...(bad.length > 0 ? replayBad : [])],
      })
    },
  },

  {
    code: 'queue-brake',
    needs: ['brake'],
    tell: ({ now, brake }) => {
      if ('unreadable' in brake) {
        const { unreadable, fix } = brake
        const meaning = 'Unknown is not released: a daemon that cannot read the brake cancels no order.'
        return finding('error', 'queue-brake', { what: `the brake cannot be read: ${unreadable}`, meaning, fix })
      }
      const { engaged, reason = 'unknown', since = now } = brake
      if (!engaged) return ok('queue-brake', 'the brake is not engaged')
      return finding('warning', 'queue-brake', {
        what: `the brake is engaged, for ${howLong(Math.max(0, now - since))} (${reason})`,
        meaning: 'No process cancels an order. Find out first whether payments still arrive.',
        fix: ['order-expiry brake status', 'order-expiry brake release'],
      })
    },
  },
]

/** Those that a worker could take now. */
function due({ wait = 0, prioritized = 0 }: Record<string, number>): number {
  return wait + prioritized
}
