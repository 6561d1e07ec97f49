import { z } from 'zod'
import type { Check, Evidence, Outcome } from '../order/order.ts'
import { LOCKED_RETRY_MS } from './postgres-sql.ts'

export const NOW_SQL = `
SELECT (extract(epoch FROM now()) * 1000)::float8 AS now, current_setting('transaction_read_only') = 'on' AS read_only`
export const nowRow = z.object({ now: z.number(), read_only: z.boolean() })
/** `infinity` and `-infinity` too. */
const instant = z.custom<number>((value) => typeof value === 'number' && !Number.isNaN(value))
const milliseconds = instant.nullable()
export const pageRow = z.object({ id: z.string(), deadline: instant })
export const paymentRow = z.object({ paid_at: milliseconds })
export const orderRow = z.object({
  id: z.string(),
  status: z.string(),
  deadline: milliseconds,
  cancelled_at: milliseconds,
})
export const cancelRow = z.object({
  id: z.string().nullable(),
  status: z.string().nullable(),
  paid: z.boolean().nullable(),
  unpaid: z.boolean().nullable(),
  deadline: milliseconds,
  cancelled: z.boolean(),
  now: z.number(),
})

export function idsAndDeadlines(checks: readonly Check[]): [string[], (Date | string)[]] {
  return [checks.map(({ orderId }) => orderId), checks.map(({ deadline }) => toTimestamp(deadline))]
}

/** The first instant that PostgreSQL can hold, in 4714 BC; a Date holds earlier ones, but not the last ones. */
const FIRST_TIMESTAMP_MS = -210_866_803_200_000

function toTimestamp(deadline: number): Date | string {
  if (deadline < FIRST_TIMESTAMP_MS) return '-infinity'
  return deadline > LAST_MS ? 'infinity' : new Date(deadline)
}

/**
 * @param done the ids cancelled earlier in the batch: an order may stand in it twice, but is cancelled once; undefined
 *   where nothing is
 */
export function toOutcome(
  row: z.infer<typeof cancelRow>,
  done: Set<string> | undefined,
  cancelledStatus: string,
): Outcome {
  const decidedAt = Math.ceil(row.now)
  if (row.id === null) return { kind: 'missing', evidence: { decidedAt } }
  const status = row.status ?? ''
  const deadline = ceil(row.deadline)
  const evidence: Evidence = { decidedAt, status, deadline, ...(row.paid && { paid: true }) }
  if (row.cancelled && done?.has(row.id)) {
    return { kind: 'kept', status: cancelledStatus, evidence: { ...evidence, status: cancelledStatus } }
  }
  if (row.cancelled) {
    done?.add(row.id)
    return { kind: 'cancelled', at: decidedAt, evidence }
  }
  if (!row.unpaid || deadline === undefined) return { kind: 'kept', status, evidence }
  if (deadline > decidedAt) return { kind: 'postponed', until: deadline, reason: 'not-due', evidence }
  return { kind: 'postponed', until: decidedAt + LOCKED_RETRY_MS, reason: 'locked', evidence }
}

/** The last instant that a Date can hold, in either direction. */
const LAST_MS = 8.64e15

/** Milliseconds rounded up, so that a deadline is never taken for earlier than it is; undefined for none, or never. */
export function ceil(ms: number | null): number | undefined {
  return ms === null || ms > LAST_MS ? undefined : Math.ceil(Math.max(ms, -LAST_MS))
}
