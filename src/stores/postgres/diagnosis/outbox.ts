import { type Finding, finding } from '../../../doctor/finding.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import { COLUMNS_SQL, type ColumnRow } from '../columns.ts'
import { buildMigrations, OUTBOX_COLUMNS, OUTBOX_TABLE, outboxTable } from '../statements.ts'
import { bounded } from './bounded-look.ts'
import { one } from './database.ts'
import type { OrdersTable } from './table.ts'

const MANY_EVENTS = 100_000

export async function lookAtOutbox(options: OrdersTable & { role: string }): Promise<Finding[]> {
  const { database, columns, role } = options
  const outbox = outboxTable(columns)
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [outbox])
  const findings: Finding[] = []
  if (rows.length === 0) {
    findings.push(
      finding('error', 'store-outbox', {
        what: `there is no table ${outbox}`,
        meaning: 'The daemon does not start: each cancellation adds its event there.',
        fix: await createOutbox(options),
      }),
    )
  } else {
    const missing = OUTBOX_COLUMNS.filter((name) => !rows.some((row) => row.name === name))
    findings.push(
      missing.length === 0
        ? finding('ok', 'store-outbox', { what: `${outbox} is as expected` })
        : finding('error', 'store-outbox', {
            what: `${outbox} has no ${missing.join(', ')}`,
            meaning: 'It is not our table, or an old one: no order can be cancelled.',
            fix: [`ALTER TABLE ${outbox} RENAME TO ${OUTBOX_TABLE}_old;`, ...(await createOutbox(options))],
          }),
    )
    const backlog = await bounded<number>(database, async () => {
      const sql = `SELECT count(*)::int AS events FROM (SELECT FROM ${outbox} LIMIT ${MANY_EVENTS + 1}) o`
      return (await one<{ events: number }>(database, sql)).events
    })
    const { mayRead } = await one<{ mayRead: boolean }>(
      database,
      `SELECT has_table_privilege($1, 'SELECT') AS "mayRead"`,
      [outbox],
    )
    if (!mayRead) {
      findings.push(
        finding('info', 'store-backlog', {
          what: `the role ${role} may not read the outbox`,
          meaning: 'How many events wait in it is not among the metrics: order_expiry_outbox_up is 0.',
          fix: [`GRANT SELECT ON ${outbox} TO ${role};`],
        }),
      )
    }
    if (typeof backlog === 'number') {
      const size = countUpTo(MANY_EVENTS, backlog, 'event')
      findings.push(finding('info', 'store-backlog', { what: `${size} in the outbox; nothing deletes them yet` }))
    }
  }
  return findings
}

/** What makes the outbox: `migrate`, or, if our role may not create a table there, what its owner does for it. */
async function createOutbox({ database, columns, role }: OrdersTable & { role: string }): Promise<string[]> {
  const { mayCreate } = await one<{ mayCreate: boolean }>(
    database,
    `SELECT has_schema_privilege($1, 'CREATE') AS "mayCreate"`,
    [columns.schema],
  )
  if (mayCreate) return ['order-expiry migrate']
  return [
    `# the role ${role} may create no table in this schema; as somebody who may:`,
    ...buildMigrations(columns).map((statement) => `${statement.replace(/\s+/g, ' ')};`),
    `GRANT INSERT, SELECT ON ${outboxTable(columns)} TO ${role};`,
  ]
}
