import { asOrderExpiryError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import { withTimeout } from '../runtime/timeout.ts'
import { visibleLine } from '../runtime/visible.ts'

/** Everything that `doctor` looks at, in the order in which it is shown. docs/doctor.md explains each. */
export const FINDING_CODES = [
  'redis-reachable',
  'redis-tls',
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
  'redis-cluster',
  'store-reachable',
  'store-tls',
  'store-version',
  'store-writable',
  'store-table',
  'store-permissions',
  'store-row-security',
  'store-outbox',
  'store-backlog',
  'store-cancel-sql',
  'store-ids',
  'store-statuses',
  'store-paid-columns',
  'store-paid-at',
  'store-deleted-columns',
  'store-deadlines',
  'store-unreadable',
  'store-index',
  'store-paid-index',
  'store-late-index',
  'store-late-payments',
  'store-unpaid',
  'store-overdue',
  'store-backlog-orders',
  'store-clock',
  'store-connections',
  'store-timeouts',
  'store-triggers',
  'store-dry-run',
  'queue-reachable',
  'queue-permissions',
  'queue-keys',
  'queue-counts',
  'queue-paused',
  'queue-worker',
  'queue-scripts',
  'queue-overdue',
  'queue-stuck',
  'queue-failed',
  'queue-brake',
  'queue-clocks',
] as const

export type FindingCode = (typeof FINDING_CODES)[number]

/** What one look at Redis, the store or the queue has found. */
export interface Finding {
  /** `error`: orders are not cancelled on time, or can get lost. `warning`: they could be. */
  level: 'ok' | 'info' | 'warning' | 'error'
  subject: 'redis' | 'store' | 'queue'
  code: FindingCode
  what: string
  /** What follows from it. */
  meaning?: string
  /** What fixes it, one command or statement per line; a line that begins with `#` is for people. */
  fix?: string
}

/** A finding; its subject is the first word of its code. */
export function finding(
  level: Finding['level'],
  code: FindingCode,
  { what, meaning, fix }: { what: string; meaning?: string; fix?: string | readonly string[] },
): Finding {
  const subject = code.slice(0, code.indexOf('-')) as Finding['subject']
  // Names and values of the shop may hold anything, and must not begin a command of their own.
  const lines = [fix ?? []].flat().map(visibleLine).join('\n')
  return { level, subject, code, what, ...(meaning && { meaning }), ...(lines && { fix: lines }) }
}

/** The finding where all is well. */
export function ok(code: FindingCode, what: string): Finding {
  return finding('ok', code, { what })
}

/** The findings of several looks; undefined where there was nothing to report. */
export function listed(...found: (Finding | readonly Finding[] | undefined)[]): Finding[] {
  return found.flat().filter((one) => one !== undefined)
}

/** What `look` finds; if it throws, or does not end in time, that is the finding. Never rejects. */
export async function examine(options: {
  code: FindingCode
  withinMs: number
  clock: Clock
  look: () => Promise<Finding[]>
}): Promise<Finding[]> {
  const { code, withinMs, clock, look } = options
  const onTimeout = () => new Error(`no answer within ${withinMs / 1_000} s`)
  try {
    return await withTimeout({ work: look(), ms: withinMs, clock, onTimeout })
  } catch (error) {
    return [finding('error', code, { what: `could not be checked: ${asOrderExpiryError(error).message}` })]
  }
}
