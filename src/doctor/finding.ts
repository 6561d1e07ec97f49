import { asOrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { clockDifference } from '../runtime/human-numbers.ts'
import { withTimeout } from '../runtime/timeout.ts'

/** Everything that `doctor` looks at, in the order in which it is shown. docs/doctor.md explains each. */
export const FINDING_CODES = [
  'redis-reachable',
  'redis-version',
  'redis-role',
  'redis-replicas',
  'redis-persistence',
  'redis-writes',
  'redis-eviction',
  'redis-memory',
  'redis-listpack',
  'redis-clock',
  'redis-config',
  'store-reachable',
  'store-version',
  'store-writable',
  'store-table',
  'store-permissions',
  'store-row-security',
  'store-outbox',
  'store-backlog',
  'store-cancel-sql',
  'store-statuses',
  'store-deadlines',
  'store-index',
  'store-paid-index',
  'store-unpaid',
  'store-overdue',
  'store-clock',
  'store-connections',
  'store-triggers',
  'store-dry-run',
  'queue-reachable',
  'queue-counts',
  'queue-paused',
  'queue-worker',
  'queue-overdue',
  'queue-stuck',
  'queue-failed',
  'queue-brake',
] as const

export type FindingCode = (typeof FINDING_CODES)[number]

/** What one look at Redis, the store or the queue has shown. */
export interface Finding {
  /** `error`: orders are not cancelled on time, or can get lost. `warning`: they could be. */
  level: 'ok' | 'info' | 'warning' | 'error'
  subject: 'redis' | 'store' | 'queue'
  code: FindingCode
  what: string
  /** What follows from it. */
  meaning?: string
  /** What mends it, a command or statement a line; a line that begins with `#` is for people. */
  fix?: string
}

/** A finding without what follows from its place: the subject is the first word of the code. */
export function finding(
  level: Finding['level'],
  code: FindingCode,
  said: { what: string; meaning?: string; fix?: string | readonly string[] },
): Finding {
  const { what, meaning, fix } = said
  const lines = typeof fix === 'string' ? fix : fix?.join('\n')
  return {
    level,
    subject: code.slice(0, code.indexOf('-')) as Finding['subject'],
    code,
    what,
    ...(meaning && { meaning }),
    ...(lines && { fix: lines }),
  }
}

/** What `look` finds; if it throws, or does not end in time, that is the finding. Never rejects. */
export async function examine(options: {
  code: FindingCode
  withinMs: number
  clock: Clock
  look: () => Promise<Finding[]>
}): Promise<Finding[]> {
  const { code, withinMs, clock, look } = options
  try {
    return await withTimeout({
      work: look(),
      ms: withinMs,
      clock,
      onTimeout: () => new Error(`no answer within ${withinMs / 1_000} s`),
    })
  } catch (error) {
    return [finding('error', code, { what: `could not be looked at: ${asOrderExpiryError(error).message}` })]
  }
}

/** How two clocks differ, as the findings of both Redis and the store say it. */
export function clockFinding(options: {
  code: 'redis-clock' | 'store-clock'
  /** What the other clock shows less what ours shows. */
  offsetMs: number
  /** Half of how long the answer took: the offset is known no better. */
  marginMs: number
  meaning: string
}): Finding {
  const { code, offsetMs, marginMs, meaning } = options
  const away = Math.abs(offsetMs)
  const what = `${clockDifference(away)} ${offsetMs < 0 ? 'behind' : 'ahead of'} the clock here (± ${Math.ceil(marginMs)} ms)`
  const surely = away - marginMs
  const level = surely > 30_000 ? 'error' : surely > 1_000 ? 'warning' : 'ok'
  if (level === 'ok') return finding('ok', code, { what })
  return finding(level, code, {
    what,
    meaning,
    fix: ['# set both clocks by NTP; on the machine whose clock is wrong:', 'timedatectl set-ntp true'],
  })
}
