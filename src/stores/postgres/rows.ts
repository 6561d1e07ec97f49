import { z } from 'zod'
import type { Check, Evidence, Outcome } from '../../order/order.ts'
import { LOCKED_RETRY_MS } from './statements.ts'

export const NOW_SQL = `
SELECT (extract(epoch FROM now()) * 1000)::float8 AS now, current_setting('transaction_read_only') = 'on' AS read_only`
export const nowRow = z.object({ now: z.number(), read_only: z.boolean() })
/** `infinity` and `-infinity` too. */
const instant = z.custom<number>((value) => typeof value === 'number' && !Number.isNaN(value))
const milliseconds = instant.nullable()
export const pageRow = z.object({ id: z.string(), deadline: instant })
export const backlogRow = z.object({ events: z.number(), age: z.number().nullable() })
export const eventsRow = z.object({
  looked: z.number(),
  events: z.array(z.object({ id: z.string(), type: z.string(), at: z.number() })),
})
export const paymentRow = z.object({ paid_at: milliseconds })
export const orderRow = z.object({
  id: z.string(),
  status: z.string(),
  unpaid: z.boolean(),
  deadline: milliseconds,
  cancelled_at: milliseconds,
  paid_at: milliseconds,
})

/**
 * What `cancelUnpaid` and `judge` answer: for each order what became of it, the status seen, the deadline, and in the first
 * row when it was decided. `again` is an order cancelled by another check of the batch; `unpaid` one not due, or locked;
 * `paid` one with a time of payment, whatever its status.
 */
const answer = z.array(
  z.tuple([
    z.enum(['missing', 'cancelled', 'again', 'unpaid', 'paid', 'kept']),
    z.string().nullable(),
    milliseconds,
    z.number().nullable(),
  ]),
)

/** The parameters of our own statements. */
export function idsAndMs(checks: readonly Check[]): [string[], number[]] {
  return [checks.map(({ orderId }) => orderId), checks.map(({ deadline }) => toInstant(deadline))]
}

/** The parameters of the shop's own statement. */
export function idsAndDeadlines(checks: readonly Check[]): [string[], (Date | string)[]] {
  return [checks.map(({ orderId }) => orderId), checks.map(({ deadline }) => toTimestamp(deadline))]
}

/** The first instant that PostgreSQL can hold, in 4714 BC; a Date holds earlier ones, but not the last ones. */
const FIRST_TIMESTAMP_MS = -210_866_803_200_000

function toInstant(deadline: number): number {
  if (deadline < FIRST_TIMESTAMP_MS) return Number.NEGATIVE_INFINITY
  return deadline > LAST_MS ? Number.POSITIVE_INFINITY : deadline
}

function toTimestamp(deadline: number): Date | string {
  const ms = toInstant(deadline)
  if (Number.isFinite(ms)) return new Date(ms)
  return ms > 0 ? 'infinity' : '-infinity'
}

/** One outcome for each row that `cancelUnpaid` or `judge` answers, in their order. */
export function toOutcomes(rows: readonly unknown[], cancelledStatus: string): Outcome[] {
  const answers = answer.parse(rows)
  if (answers.length === 0) return []
  const decidedAt = Math.ceil(z.number().parse(answers[0]?.[3]))
  return answers.map((of) => toOutcome(of, { decidedAt, cancelledStatus }))
}

function toOutcome(
  [what, seen, ms]: z.infer<typeof answer>[number],
  { decidedAt, cancelledStatus }: { decidedAt: number; cancelledStatus: string },
): Outcome {
  if (what === 'missing') return { kind: 'missing', evidence: { decidedAt } }
  const status = what === 'again' ? cancelledStatus : (seen ?? '')
  const deadline = ceil(ms)
  const evidence: Evidence = { decidedAt, status, deadline, ...(what === 'paid' && { paid: true }) }
  if (what === 'cancelled') return { kind: 'cancelled', at: decidedAt, evidence }
  if (what !== 'unpaid' || deadline === undefined) return { kind: 'kept', status, evidence }
  if (deadline > decidedAt) return { kind: 'postponed', until: deadline, reason: 'not-due', evidence }
  return { kind: 'postponed', until: decidedAt + LOCKED_RETRY_MS, reason: 'locked', evidence }
}

/** The last instant that a Date can hold, in either direction. */
const LAST_MS = 8.64e15

/** Milliseconds rounded up, so that a deadline is never taken for earlier than it is; undefined for none, or never. */
export function ceil(ms: number | null): number | undefined {
  return ms === null || ms > LAST_MS ? undefined : Math.ceil(Math.max(ms, -LAST_MS))
}
