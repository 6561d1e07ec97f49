import { type Finding, finding } from '../../../doctor/finding.ts'
import { quoteIdentifier, unquoteIdentifier } from '../columns.ts'
import { quoteLiteral } from '../indexes.ts'
import { bounded, cannotTell } from './bounded-look.ts'
import { one } from './database.ts'
import type { OrdersTable } from './table.ts'

/** Rows that are looked at for the statuses that occur. */
const SAMPLE = 10_000

export async function lookAtStatuses({ database, columns, mapping }: OrdersTable): Promise<Finding[]> {
  const { table, status, statusType } = columns
  const { unpaidStatuses, cancelledStatus } = mapping
  const seen = await bounded<Set<string>>(database, async () => {
    const { rows } = await database.query<{ status: string }>(
      `SELECT DISTINCT status FROM (
         SELECT unnest(most_common_vals::text::text[]) AS status FROM pg_stats
         WHERE schemaname || '' = $1 AND tablename = $2 AND attname = $3
         UNION ALL (SELECT ${status}::text FROM ${table} LIMIT ${SAMPLE})) s WHERE status IS NOT NULL LIMIT 200`,
      [
        columns.schema,
        unquoteIdentifier(table.slice(quoteIdentifier(columns.schema).length + 1)),
        unquoteIdentifier(status),
      ],
    )
    return new Set(rows.map((row) => row.status))
  })
  if (seen === 'unknown') return [cannotTell('store-statuses', 'which statuses occur')]
  if (seen.size === 0) return [finding('info', 'store-statuses', { what: 'there is no order yet' })]

  let isUnknown = false
  for (const wanted of [...unpaidStatuses, cancelledStatus].filter((name) => !seen.has(name))) {
    const found = await bounded<boolean>(database, async () => {
      const sql = `SELECT EXISTS (SELECT FROM ${table} WHERE ${status} = $1::text::${statusType}) AS found`
      return (await one<{ found: boolean }>(database, sql, [wanted])).found
    })
    if (found === 'unknown') isUnknown = true
    else if (found) seen.add(wanted)
  }

  const findings = [
    ...unpaidStatuses.map((name) => ['ORDERS_UNPAID_STATUSES', name] as const),
    ['ORDERS_CANCELLED_STATUS', cancelledStatus] as const,
  ].flatMap(([setting, name]) => {
    const others = [...seen].filter(
      (other) => other !== cancelledStatus && !unpaidStatuses.includes(other) && looksLike(other, name),
    )
    if (others.length === 0) return []
    const isThere = seen.has(name)
    const value =
      setting === 'ORDERS_CANCELLED_STATUS'
        ? others[0]
        : [...unpaidStatuses.filter((one) => one !== name || isThere), ...others].join(',')
    return [
      finding('warning', 'store-statuses', {
        what: `${setting} has ${quoteLiteral(name)}, ${isThere ? 'the table has also' : 'the table has'} ${others.map(quoteLiteral).join(', ')}`,
        meaning:
          setting === 'ORDERS_CANCELLED_STATUS'
            ? 'Other programs may not take our cancelled orders for cancelled.'
            : 'Statuses are compared exactly: orders in the other one are never cancelled.',
        fix: ['# if they mean the same:', `${setting}=${value}`],
      }),
    ]
  })
  if (findings.length > 0) return findings
  const unpaid = unpaidStatuses.filter((name) => seen.has(name))
  if (unpaid.length > 0) return [finding('ok', 'store-statuses', { what: `orders with ${unpaid.join(', ')} occur` })]
  if (isUnknown) return [cannotTell('store-statuses', `whether there are orders with ${unpaidStatuses.join(', ')}`)]
  const others = [...seen].sort().slice(0, 10)
  return [
    finding('info', 'store-statuses', {
      what: `no order has ${unpaidStatuses.join(' or ')}; there are ${others.join(', ')}`,
      meaning: 'All right if none is unpaid now; else correct ORDERS_UNPAID_STATUSES.',
    }),
  ]
}

/** Another writing of the same word: other case, other separators, or one letter wrong, missing or too many. */
function looksLike(a: string, b: string): boolean {
  const [short, long] = [a, b]
    .map((text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, ''))
    .sort((x, y) => x.length - y.length) as [string, string]
  if (short === long) return true
  if (long.length - short.length > 1 || short.length < 5) return false
  let start = 0
  while (start < short.length && short[start] === long[start]) start++
  let end = 0
  while (end < short.length - start && short[short.length - 1 - end] === long[long.length - 1 - end]) end++
  return long.length - start - end <= 1
}
