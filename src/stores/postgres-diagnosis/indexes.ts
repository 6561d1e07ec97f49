import { type Finding, finding } from '../../observe/finding.ts'
import { quoteIdentifier, unquoteIdentifier } from '../postgres-columns.ts'
import { hasSweepIndex, SWEEP_INDEX, sweepIndexStatement } from '../postgres-index.ts'
import { one } from './database.ts'
import type { OrdersTable } from './table.ts'

const PAID_INDEX = 'order_expiry_paid'

/** @param options.watchesPayments whether the latest payment must be found quickly, to watch for their silence */
export async function lookAtIndexes(options: OrdersTable & { watchesPayments: boolean }): Promise<Finding[]> {
  const { database, columns, mapping, watchesPayments } = options
  const { table, deadline, paidAt } = columns
  const { kind, broken } = await one<{ kind: string; broken: number }>(
    database,
    `SELECT c.relkind AS kind, (SELECT count(*) FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid
       WHERE x.indrelid = c.oid AND NOT x.indisvalid AND i.relname = ANY ($2))::int AS broken
     FROM pg_class c WHERE c.oid = $1::regclass`,
    [table, [SWEEP_INDEX, PAID_INDEX]],
  )
  if (!['r', 'p', 'm'].includes(kind)) {
    return [finding('info', 'store-index', { what: `${table} is no plain table: its indexes cannot be judged here` })]
  }
  // On a partitioned table an index cannot be built concurrently, and building it keeps writers waiting.
  const build = (statement: string) => [
    ...(broken > 0 ? ['# an earlier attempt was broken off and left an invalid index behind:'] : []),
    ...(broken > 0 ? [`DROP INDEX ${quoteIdentifier(columns.schema)}.${statement.split(' ')[3]};`] : []),
    kind === 'p' ? statement.replace(' CONCURRENTLY', '') : statement,
  ]
  const findings: Finding[] = []
  if (deadline) {
    findings.push(
      (await hasSweepIndex({ database, columns, mapping }))
        ? finding('ok', 'store-index', { what: `one on ${deadline.sql}, for the sweeper` })
        : finding('warning', 'store-index', {
            what: `there is none that the sweeper can use (first column ${deadline.sql}, for unpaid orders)`,
            meaning: 'Each sweep reads the whole table; when that takes longer than 10 s, nothing is swept.',
            fix: build(sweepIndexStatement(columns, mapping)),
          }),
    )
  }
  if (watchesPayments && paidAt) {
    const { rows: led } = await database.query(LED_BY_SQL, [table, unquoteIdentifier(paidAt.sql)])
    findings.push(
      led.length > 0
        ? finding('ok', 'store-paid-index', { what: `one on ${paidAt.sql}, for BRAKE_PAYMENT_SILENCE` })
        : finding('warning', 'store-paid-index', {
            what: `there is none on ${paidAt.sql}, for BRAKE_PAYMENT_SILENCE`,
            meaning: 'To find the latest payment the whole table is read, again and again.',
            fix: build(`CREATE INDEX CONCURRENTLY ${PAID_INDEX} ON ${table} (${paidAt.sql});`),
          }),
    )
  }
  return findings
}

const LED_BY_SQL = `
SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2 AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1::regclass AND i.indisvalid AND i.indisready AND m.amname = 'btree' AND i.indpred IS NULL LIMIT 1`
