import { type Finding, finding, ok } from '../../../doctor/finding.ts'
import type { OrdersTable } from './table.ts'

export async function lookAtTriggers({ database, columns }: OrdersTable): Promise<Finding> {
  const { rows } = await database.query<{ name: string }>(
    `SELECT 'trigger ' || quote_ident(tgname) AS name FROM pg_trigger
     WHERE tgrelid = $1::regclass AND NOT tgisinternal AND tgenabled <> 'D' AND (tgtype & 16) <> 0
     UNION ALL
     SELECT 'rule ' || quote_ident(rulename) FROM pg_rewrite
     WHERE ev_class = $1::regclass AND rulename <> '_RETURN' AND ev_enabled <> 'D' AND ev_type = '2'
     ORDER BY 1`,
    [columns.table],
  )
  if (rows.length === 0) return ok('store-triggers', 'none runs when an order is cancelled')
  return finding('info', 'store-triggers', {
    what: `runs when an order is cancelled: ${rows.map(({ name }) => name).join(', ')}`,
    meaning:
      'In the same transaction: what it raises keeps the order from being cancelled, what it waits for holds up others.',
  })
}
