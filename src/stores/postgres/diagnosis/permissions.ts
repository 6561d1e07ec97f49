import { type Finding, finding, ok } from '../../../doctor/finding.ts'
import { quoteIdentifier, unquoteIdentifier } from '../columns.ts'
import { outboxTable } from '../statements.ts'
import { one } from './database.ts'
import type { OrdersTable } from './table.ts'

/** @param options.usesShopSql whether it is the shop's own statement that writes to the table */
export async function lookAtPermissions(
  options: OrdersTable & { role: string; usesShopSql: boolean },
): Promise<Finding[]> {
  const { database, columns, role, usesShopSql } = options
  const { table, id, status, deadline, paidAt, cancelledAt } = columns
  const outbox = outboxTable(columns)
  const isMapped = (name: string | undefined) => name !== undefined
  const read = [id, status, deadline?.sql, paidAt?.sql, cancelledAt?.sql].filter(isMapped)
  const written = usesShopSql ? [] : [status, cancelledAt?.sql].filter(isMapped)
  const { unread, unwritten, mayRecord, hides } = await one<{
    unread: string[]
    unwritten: string[]
    mayRecord: boolean
    hides: boolean
  }>(
    database,
    `SELECT ARRAY(SELECT c FROM unnest($2::text[]) c WHERE NOT has_column_privilege($1, c, 'SELECT')) AS unread,
            ARRAY(SELECT c FROM unnest($3::text[]) c WHERE NOT has_column_privilege($1, c, 'UPDATE')) AS unwritten,
            to_regclass($4) IS NULL OR has_table_privilege(to_regclass($4), 'INSERT') AS "mayRecord",
            row_security_active($1::regclass) AS hides`,
    [table, read.map(unquoteIdentifier), written.map(unquoteIdentifier), outbox],
  )
  const missing: { what: string; grant: string }[] = []
  const list = (names: readonly string[]) => names.map(quoteIdentifier).join(', ')
  if (unread.length > 0)
    missing.push({ what: `read ${list(unread)}`, grant: `SELECT (${read.join(', ')}) ON ${table}` })
  if (unwritten.length > 0) {
    missing.push({ what: `write ${list(unwritten)}`, grant: `UPDATE (${written.join(', ')}) ON ${table}` })
  }
  if (!mayRecord) missing.push({ what: 'add to the outbox', grant: `INSERT, SELECT ON ${outbox}` })
  const findings = [
    missing.length === 0
      ? ok('store-permissions', `the role ${role} may do what is needed`)
      : finding('error', 'store-permissions', {
          what: `the role ${role} may not ${missing.map(({ what }) => what).join(', nor ')}`,
          meaning: 'The daemon does not start, or no order can be cancelled.',
          fix: missing.map(({ grant }) => `GRANT ${grant} TO ${role};`),
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
