import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import type { OrdersTable } from '../columns.ts'
import { one } from '../database.ts'
import { missingRecords } from '../outbox.ts'
import { isPaidLate } from '../sql.ts'
import { refusalOf } from './cancelling.ts'

/** Whether payments that come after a cancellation can be told of, and orders be reopened. */
export async function lookAtLatePayments(
  options: OrdersTable & { reopenSql?: string | undefined },
): Promise<Finding[]> {
  return isPaidLate(options.columns) ? listed(await lookAtTelling(options), await lookAtReopening(options)) : []
}

async function lookAtTelling({ database, columns }: OrdersTable): Promise<Finding> {
  const { latePayments } = columns
  const meaning = 'Payments that come after a cancellation are told to nobody: no event, no metric.'
  const missing = (await missingRecords({ database, columns })).filter(({ need }) => need === 'late payments')
  if (missing.length > 0) {
    return finding('warning', 'store-late-payments', {
      what: `there is no complete record of late payments (${latePayments})`,
      meaning,
      fix: ['order-expiry migrate', '# as the owner of the outbox'],
    })
  }
  const { role, may } = await one<{ role: string; may: boolean }>(
    database,
    `SELECT quote_ident(current_user) AS role, has_table_privilege($1, 'SELECT') AND has_table_privilege($1, 'INSERT') AS may`,
    [latePayments],
  )
  if (may) return ok('store-late-payments', `payments after a cancellation are noted in ${latePayments}`)
  return finding('warning', 'store-late-payments', {
    what: `the role ${role} may not note late payments in ${latePayments}`,
    meaning,
    fix: `GRANT SELECT, INSERT ON ${latePayments} TO ${role};`,
  })
}

async function lookAtReopening({
  database,
  reopenSql,
}: OrdersTable & { reopenSql?: string | undefined }): Promise<Finding | undefined> {
  const refusal = reopenSql && (await refusalOf(database, `EXPLAIN ${reopenSql}`, [[]]))
  if (!refusal) return undefined
  return finding('error', 'store-late-payments', {
    what: `your own statement (REOPEN_SQL_FILE) fails: ${refusal}`,
    meaning: 'The daemon does not start.',
    fix: '# correct the statement; see docs/payments.md',
  })
}
