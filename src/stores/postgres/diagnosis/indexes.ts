import { type Finding, finding } from '../../../doctor/finding.ts'
import { unquoteIdentifier } from '../columns.ts'
import { paidIndex } from '../indexes.ts'
import { createIndex } from './create-index.ts'
import { one } from './database.ts'
import { lookAtSweepIndex } from './sweep-index.ts'
import type { OrdersTable } from './table.ts'

/** @param options.watchesPayments whether the latest payment must be found quickly, to watch for their silence */
export async function lookAtIndexes(options: OrdersTable & { watchesPayments: boolean }): Promise<Finding[]> {
  const { database, columns, watchesPayments } = options
  const { table, deadline, paidAt } = columns
  const { kind } = await one<{ kind: string }>(
    database,
    'SELECT relkind AS kind FROM pg_class WHERE oid = $1::regclass',
    [table],
  )
  if (!['r', 'p', 'm'].includes(kind)) {
    return [finding('info', 'store-index', { what: `${table} is no plain table: its indexes cannot be judged here` })]
  }
  const findings = deadline ? [await lookAtSweepIndex(options)] : []
  if (watchesPayments && paidAt) {
    const { rows: led } = await database.query(LED_BY_SQL, [table, unquoteIdentifier(paidAt.sql)])
    findings.push(
      led.length > 0
        ? finding('ok', 'store-paid-index', { what: `one on ${paidAt.sql}, for BRAKE_PAYMENT_SILENCE` })
        : finding('warning', 'store-paid-index', {
            what: `there is none on ${paidAt.sql}, for BRAKE_PAYMENT_SILENCE`,
            meaning: 'To find the latest payment the whole table is read, again and again.',
            fix: await createIndex(options, paidIndex(columns)),
          }),
    )
  }
  return findings
}

const LED_BY_SQL = `
SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2 AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1::regclass AND i.indisvalid AND i.indisready AND m.amname = 'btree' AND i.indpred IS NULL LIMIT 1`
