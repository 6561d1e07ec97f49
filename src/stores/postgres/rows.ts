import { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'
import { LAST_MS } from '../../order/deadline.ts'
import type { Check, Evidence, Outcome } from '../../order/order.ts'
import type { Payment } from '../../order/payment-gateway.ts'
import { KEPT_DELIVERIES } from './kept-deliveries.ts'

/** When to look again at an order whose row somebody else has locked: most often a payment that is about to commit. */
const LOCKED_RETRY_MS = 300

/** The same where nobody closes its payment now, such as another version of the daemon. */
const PAYABLE_RETRY_MS = 5_000

/** The first instant that PostgreSQL can hold, in 4714 BC; a Date holds earlier ones. */
const FIRST_TIMESTAMP_MS = -210_866_803_200_000

/** `infinity` and `-infinity` too. */
const instant = z.custom<number>((value) => typeof value === 'number' && !Number.isNaN(value))
const milliseconds = instant.nullable().transform(ceil)
const wholeMs = z.number().transform(Math.ceil)
const payment = z.object({ reference: z.string(), method: z.string().optional(), amount: z.string().optional() })
const event = KEPT_DELIVERIES.partial().extend({
  id: z.string(),
  type: z.string(),
  at: wholeMs,
  reopened: z
    .unknown()
    .optional()
    .transform((reopened) => (reopened === true ? true : undefined)),
})

export const NOW_SQL = `
SELECT (extract(epoch FROM now()) * 1000)::float8 AS now, current_setting('transaction_read_only') = 'on' AS "isReadOnly"`

/** What our statements that read answer: rows, or the only one. */
export const ANSWERS = {
  now: z.object({ now: wholeMs, isReadOnly: z.boolean() }),
  page: z.array(z.object({ orderId: z.string(), deadline: instant })),
  outbox: z.object({ events: z.number(), ageMs: z.number().nullable() }),
  setAside: z.object({
    backlog: z.object({ orders: z.number(), oldest: instant.nullable().transform((ms) => ms ?? undefined) }),
    unreadable: z.object({ orders: z.number(), examples: z.array(z.string()) }),
  }),
  events: z.object({ searched: z.number(), events: z.array(event) }),
  payment: z.object({ paidAt: milliseconds }),
  orders: z.array(
    z.object({
      orderId: z.string(),
      status: z.string(),
      isUnpaid: z.boolean(),
      setAside: z
        .enum(['backlog', 'unreadable'])
        .nullable()
        .transform((why) => why ?? undefined),
      deadline: milliseconds,
      cancelledAt: milliseconds,
      paidAt: milliseconds,
      payment: payment.nullable().transform((known) => known ?? undefined),
    }),
  ),
}

const KINDS = [
  ...(['missing', 'cancelled', 'again', 'undone', 'ambiguous', 'unreadable'] as const),
  ...(['payable', 'unpaid', 'paid', 'kept'] as const),
]

/**
 * What `cancelUnpaid` and `dryRun` answer: for each order what became of it, the status seen, the deadline, and in the first
 * row when it was decided. `again` is an order cancelled by another check of the batch; `unpaid` one not due, or locked;
 * `undone` one that was to be cancelled and is not; `paid` one with a time of payment, whatever its status; `payable` one that is due
 * and whose payment is not closed.
 */
type Answer = [
  what: (typeof KINDS)[number],
  seen: string | null,
  deadline: number | null,
  decidedAt: number | null,
  payment?: unknown,
]

/** By hand: a schema takes as long as all else that is done with a row, of which there may be tens of thousands in a second. */
function isAnswer(row: unknown): row is Answer {
  if (!Array.isArray(row) || row.length < 4 || row.length > 5) return false
  const [what, seen, deadline, decidedAt] = row as unknown[]
  const isText = seen === null || typeof seen === 'string'
  return isText && isNumberOrNull(deadline) && isNumberOrNull(decidedAt) && KINDS.includes(what as Answer[0])
}

function isNumberOrNull(value: unknown): boolean {
  return value === null || (typeof value === 'number' && !Number.isNaN(value))
}

/** The references of payments that were closed, as a parameter. */
export function closedOf(checks: readonly Check[]): (string | null)[] {
  return checks.map(({ closed }) => closed ?? null)
}

/** The parameters of our own statements. */
export function idsAndMs(checks: readonly Check[]): [ids: string, deadlines: string] {
  return [
    arrayText(checks.map(({ orderId }) => orderId)),
    arrayText(checks.map(({ deadline }) => String(toInstant(deadline)))),
  ]
}

/**
 * An array as PostgreSQL reads it, in a third of the time and memory that the driver takes.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
function arrayText(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replaceAll(/[\\"]/g, '\\$&')}"`).join(',')}}`
}

/** The parameters of the shop's own statement. */
export function idsAndDeadlines(checks: readonly Check[]): [string[], (Date | string)[]] {
  const instants = checks.map(({ deadline }) => toInstant(deadline))
  return [
    checks.map(({ orderId }) => orderId),
    instants.map((ms) => (Number.isFinite(ms) ? new Date(ms) : ms > 0 ? 'infinity' : '-infinity')),
  ]
}

function toInstant(deadline: number): number {
  if (deadline < FIRST_TIMESTAMP_MS) return Number.NEGATIVE_INFINITY
  return deadline > LAST_MS ? Number.POSITIVE_INFINITY : deadline
}

/** One outcome for each row that `cancelUnpaid` or `dryRun` answers, in their order. @param undoneBy for people */
export function toOutcomes(rows: readonly unknown[], cancelledStatus: string, undoneBy: readonly string[]): Outcome[] {
  if (rows.length === 0) return []
  const decidedAt = wholeMs.parse((rows[0] as unknown[])[3])
  return rows.map((row): Outcome => {
    if (!isAnswer(row)) throw new OrderExpiryError('UNEXPECTED', `expected an outcome, given ${JSON.stringify(row)}`)
    const [what, seen, ms, , open] = row
    if (what === 'missing') return { kind: 'missing', evidence: { decidedAt } }
    const status = what === 'again' ? cancelledStatus : (seen ?? '')
    const deadline = ceil(ms)
    const evidence: Evidence = { decidedAt, status, deadline }
    if (what === 'paid') evidence.paid = true
    switch (what) {
      case 'cancelled':
        return { kind: 'cancelled', at: decidedAt, evidence }
      case 'undone':
        return rejected(undone(undoneBy), evidence)
      case 'ambiguous':
        return rejected(
          'expected one row with this id, there are several; name a view with an id of its own in ORDERS_TABLE (docs/tables.md)',
          evidence,
        )
      case 'unreadable':
        return rejected(unreadableDeadline(deadline), evidence)
      case 'payable':
        return payable(payment.parse(open), evidence)
      case 'unpaid':
        return deadline === undefined ? { kind: 'kept', status, evidence } : postponed(deadline, evidence)
      default:
        return { kind: 'kept', status, evidence }
    }
  })
}

/** What stands in the way of one order alone. */
export function rejected(why: string, evidence: Evidence): Outcome {
  return { kind: 'rejected', error: new OrderExpiryError('STORE_REJECTED', why), evidence }
}

export const ANYBODY = 'a trigger, a rule or a policy'

/** @param by for people, those that may have done it */
export function undone(by: readonly string[]): string {
  const who = by.join(' or ') || ANYBODY
  return `expected the order to be cancelled after the statement, but ${who} has prevented or undone it`
}

export function unreadableDeadline(ms: number | undefined): string {
  const given = ms === undefined ? 'none' : readable(ms)
  return `expected a deadline from 2001 on, the row has ${given}; correct it`
}

/** A time for people, in UTC; one beyond those that a Date can hold too. */
export function readable(ms: number): string {
  if (Math.abs(ms) >= LAST_MS) return ms < 0 ? '-infinity' : 'infinity'
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

/** Its payment is to be closed first. */
export function payable(open: Payment, evidence: Evidence): Outcome {
  return { kind: 'postponed', until: evidence.decidedAt + PAYABLE_RETRY_MS, reason: 'payment', payment: open, evidence }
}

/** An unpaid order is checked when it is due; if it is due, somebody else has most likely locked it. */
export function postponed(until: number, evidence: Evidence): Outcome {
  const { decidedAt } = evidence
  if (until > decidedAt) return { kind: 'postponed', until, reason: 'not-due', evidence }
  return { kind: 'postponed', until: decidedAt + LOCKED_RETRY_MS, reason: 'locked', evidence }
}

/** Rounds up, so that a deadline is never taken for earlier than it is. Undefined for none, or never. */
function ceil(ms: number | null): number | undefined {
  return ms === null || ms > LAST_MS ? undefined : Math.ceil(Math.max(ms, -LAST_MS))
}
