import { distance } from 'fastest-levenshtein'
import { type Finding, finding, ok } from '../../../doctor/finding.ts'
import type { OrdersTable } from '../columns.ts'
import { canonicalId } from '../ids.ts'
import { quoteIdentifier, quoteLiteral, unquoteIdentifier } from '../quoting.ts'
import { boundedValue, cannotTell } from './bounded-look.ts'

/** Rows in which we look for the statuses that occur. */
const ROWS_READ = 10_000
/** Shorter words that differ in one letter mean different things. */
const LEAST_LETTERS = 5

export async function lookAtStatuses({ database, columns }: OrdersTable): Promise<Finding[]> {
  const { schema, table, unpaidStatuses, cancelledStatus } = columns
  if (!columns.status) return []
  const { sql: status, type: statusType, compared } = columns.status
  // The frequent ones according to the statistics, and those of the first rows.
  const first = await boundedValue<string[]>(
    database,
    `SELECT ARRAY(SELECT DISTINCT status FROM (
       SELECT unnest(most_common_vals::text::text[]) AS status FROM pg_stats
       WHERE schemaname || '' = $1 AND tablename = $2 AND attname = $3
       UNION ALL (SELECT ${status}::text FROM ${table} LIMIT ${ROWS_READ})) s WHERE status IS NOT NULL LIMIT 200)`,
    [schema, unquoteIdentifier(table.slice(quoteIdentifier(schema).length + 1)), unquoteIdentifier(status)],
  )
  if (first === 'unknown') return [cannotTell('store-statuses', 'which statuses occur')]
  // Compared as the column compares them: char(n) without trailing spaces, citext in any case.
  const kind = statusType === 'bpchar' ? 'bpchar' : statusType.endsWith('citext') ? 'citext' : 'text'
  const ours = new Map([...unpaidStatuses, cancelledStatus].map((name) => [canonicalId(kind, name), name]))
  const seen = new Set(first.map((name) => ours.get(canonicalId(kind, name)) ?? canonicalId(kind, name)))
  if (seen.size === 0) return [finding('info', 'store-statuses', { what: 'there is no order yet' })]

  let isUnknown = false
  for (const wanted of [...unpaidStatuses, cancelledStatus].filter((name) => !seen.has(name))) {
    const sql = `SELECT EXISTS (SELECT FROM ${table} WHERE ${compared} = $1::text::${statusType})`
    const found = await boundedValue<boolean>(database, sql, [wanted])
    if (found === 'unknown') isUnknown = true
    else if (found) seen.add(wanted)
  }
  const others = [...seen].filter((name) => name !== cancelledStatus && !unpaidStatuses.includes(name))
  const findings = [...unpaidStatuses, cancelledStatus].flatMap((name) => {
    const alike = others.filter((other) => looksLike(other, name))
    if (alike.length === 0) return []
    const isThere = seen.has(name)
    const isCancelled = name === cancelledStatus
    const setting = isCancelled ? 'ORDERS_CANCELLED_STATUS' : 'ORDERS_UNPAID_STATUSES'
    const unpaid = [...unpaidStatuses.filter((one) => one !== name || isThere), ...alike].join(',')
    return finding('warning', 'store-statuses', {
      what: `${setting} has ${quoteLiteral(name)}, the table has ${isThere ? 'also ' : ''}${alike.map(quoteLiteral).join(', ')}`,
      meaning: isCancelled
        ? 'Other programs may not treat our cancelled orders as cancelled.'
        : 'Statuses are compared exactly: orders in the other one are never cancelled.',
      fix: ['# if they mean the same:', `${setting}=${isCancelled ? alike[0] : unpaid}`],
    })
  })
  if (findings.length > 0) return findings
  const unpaid = unpaidStatuses.filter((name) => seen.has(name))
  if (unpaid.length > 0) return [ok('store-statuses', `orders with ${unpaid.join(', ')} occur`)]
  if (isUnknown) return [cannotTell('store-statuses', `whether there are orders with ${unpaidStatuses.join(', ')}`)]
  return [
    finding('info', 'store-statuses', {
      what: `no order has ${unpaidStatuses.join(' or ')}; there are ${[...seen].sort().slice(0, 10).join(', ')}`,
      meaning: 'Fine if no order is unpaid now; otherwise correct ORDERS_UNPAID_STATUSES.',
    }),
  ]
}

/** Another spelling of the same word: other case, other separators, or one letter wrong, missing or too many. */
function looksLike(a: string, b: string): boolean {
  const [x = '', y = ''] = [a, b].map((text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, ''))
  return x === y || (Math.min(x.length, y.length) >= LEAST_LETTERS && distance(x, y) <= 1)
}
