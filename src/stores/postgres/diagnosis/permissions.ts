import { type Finding, finding } from '../../../doctor/finding.ts'
import { quoteIdentifier } from '../columns.ts'
import { OUTBOX_TABLE } from '../statements.ts'
import { one } from './database.ts'
import type { OrdersTable } from './table.ts'

/** @param options.usesShopSql whether it is the shop's own statement that writes to the table */
export async function lookAtPermissions(
  options: OrdersTable & { role: string; usesShopSql: boolean },
): Promise<Finding[]> {
  const { database, columns, role, usesShopSql } = options
  const { table, id, status, deadline, paidAt, cancelledAt } = columns
  const outbox = `${quoteIdentifier(columns.schema)}.${quoteIdentifier(OUTBOX_TABLE)}`
  const read = [id, status, deadline?.sql, paidAt?.sql, cancelledAt?.sql].filter((name) => name !== undefined)
  const written = usesShopSql ? [] : [status, cancelledAt?.sql].filter((name) => name !== undefined)
  const { unread, unwritten, mayRecord, hides } = await one<{
    unread: string[]
    unwritten: string[]
    mayRecord: boolean
    hides: boolean
  }>(
    database,
    `SELECT ARRAY(SELECT c FROM unnest($2::text[]) c WHERE NOT has_column_privilege($1, btrim_ident(c), 'SELECT')) AS unread,
            ARRAY(SELECT c FROM unnest($3::text[]) c WHERE NOT has_column_privilege($1, btrim_ident(c), 'UPDATE')) AS unwritten,
            to_regclass($4) IS NULL OR has_table_privilege(to_regclass($4), 'INSERT') AS "mayRecord",
            row_security_active($1::regclass) AS hides`.replaceAll(
      'btrim_ident(c)',
      `replace(substr(c, 2, length(c) - 2), '""', '"')`,
    ),
    [table, read, written, outbox],
  )
  const missing = [
    ...(unread.length > 0
      ? [{ what: `read ${unread.join(', ')}`, grant: `GRANT SELECT (${read.join(', ')}) ON ${table} TO ${role};` }]
      : []),
    ...(unwritten.length > 0
      ? [
          {
            what: `write ${unwritten.join(', ')}`,
            grant: `GRANT UPDATE (${written.join(', ')}) ON ${table} TO ${role};`,
          },
        ]
      : []),
    ...(mayRecord ? [] : [{ what: 'add to the outbox', grant: `GRANT INSERT, SELECT ON ${outbox} TO ${role};` }]),
  ]
  const findings = [
    missing.length === 0
      ? finding('ok', 'store-permissions', { what: `the role ${role} may do what is needed` })
      : finding('error', 'store-permissions', {
          what: `the role ${role} may not ${missing.map(({ what }) => what).join(', nor ')}`,
          meaning: 'The daemon does not start, or no order can be cancelled.',
          fix: missing.map(({ grant }) => grant),
        }),
  ]
  if (hides) {
    findings.push(
      finding('warning', 'store-row-security', {
        what: `row security is on for ${table}, and the role ${role} is subject to it`,
        meaning: 'Orders that its policies hide count as missing, and are never cancelled.',
        fix: ['# if the policies are not meant for it:', `ALTER ROLE ${role} BYPASSRLS;`],
      }),
    )
  }
  return findings
}
