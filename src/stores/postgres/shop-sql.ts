import { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'
import type { Check, Evidence, Order, Outcome } from '../../order/order.ts'
import { postponed } from './rows.ts'

/** PostgreSQL's `infinity` arrives as a number. */
const shopRow = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  outcome: z.enum(['cancelled', 'kept', 'missing', 'postponed']),
  until: z.union([z.date(), z.literal(Number.POSITIVE_INFINITY)]).nullable(),
})

/**
 * What the rows of the shop's own statement say, as one outcome for each check. An order that they do not mention is
 * not settled: if it is unpaid and due, somebody else has most likely locked it.
 *
 * @param options.before the orders as they were before the statement, for the evidence; undefined where there is none
 * @throws {OrderExpiryError} STORE_REJECTED for a row that is not as docs/cancel-sql.md says; the batch is then halved
 */
export function toShopOutcomes(options: {
  checks: readonly Check[]
  rows: readonly unknown[]
  before: readonly (Order | undefined)[]
  cancelledStatus: string
  decidedAt: number
  canonical: (id: string) => string
}): Outcome[] {
  const { checks, rows, before, cancelledStatus, decidedAt, canonical } = options
  const byId = new Map<string, z.infer<typeof shopRow>>()
  for (const row of rows.map(parseRow)) if (byId.get(row.id)?.outcome !== 'cancelled') byId.set(row.id, row)
  const done = new Set<string>()
  return checks.map(({ orderId, deadline: wanted }, index): Outcome => {
    const row = byId.get(canonical(orderId))
    const order = before[index]
    const deadline = order?.deadline ?? wanted
    const evidence: Evidence = { decidedAt, status: order?.status, deadline }
    const kept: Outcome = { kind: 'kept', status: order?.status ?? '', evidence }
    if (row?.outcome === 'missing' || (!row && !order)) return { kind: 'missing', evidence: { decidedAt } }
    if (!row) return order?.isUnpaid ? postponed(deadline, evidence) : kept
    if (row.outcome === 'kept') return kept
    if (row.outcome === 'postponed') {
      return row.until === Number.POSITIVE_INFINITY ? kept : postponed(row.until?.valueOf() ?? 0, evidence)
    }
    if (done.has(row.id)) {
      return { kind: 'kept', status: cancelledStatus, evidence: { ...evidence, status: cancelledStatus } }
    }
    done.add(row.id)
    return { kind: 'cancelled', at: decidedAt, evidence }
  })
}

function parseRow(row: unknown): z.infer<typeof shopRow> {
  const parsed = shopRow.safeParse(row)
  if (parsed.success) return parsed.data
  const expected = `CANCEL_SQL_FILE: expected a row (id, outcome, until), given ${JSON.stringify(row)}`
  throw new OrderExpiryError('STORE_REJECTED', `${expected}: ${z.prettifyError(parsed.error)}`)
}
