import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import { COLUMNS_SQL, type ColumnRow } from '../columns.ts'
import { one } from '../database.ts'
import { createOutboxSql, OUTBOX_COLUMNS, OUTBOX_TABLE, outboxTable } from '../outbox.ts'
import { boundedOne } from './bounded-look.ts'
import type { OrdersTable } from './table.ts'

const MOST_EVENTS_COUNTED = 100_000

type Table = OrdersTable & { role: string }

export async function lookAtOutbox(options: Table): Promise<Finding[]> {
  const { database, columns } = options
  const outbox = outboxTable(columns)
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [outbox])
  if (rows.length === 0) {
    return [
      finding('error', 'store-outbox', {
        what: `there is no table ${outbox}`,
        meaning: 'The daemon does not start: each cancellation adds its event there.',
        fix: await createOutbox(options),
      }),
    ]
  }
  const missing = OUTBOX_COLUMNS.filter((name) => !rows.some((row) => row.name === name))
  const backlog = await lookAtBacklog(options)
  if (missing.length === 0) return listed(ok('store-outbox', `${outbox} is as expected`), backlog)
  const wrong = finding('error', 'store-outbox', {
    what: `${outbox} has no ${missing.join(', ')}`,
    meaning: 'It is not our table, or an old one: no order can be cancelled.',
    fix: [`ALTER TABLE ${outbox} RENAME TO ${OUTBOX_TABLE}_old;`, ...(await createOutbox(options))],
  })
  return listed(wrong, backlog)
}

/** What makes the outbox: `migrate`, or, if our role may not create a table there, what its owner does for it. */
async function createOutbox({ database, columns, role }: Table): Promise<string[]> {
  const sql = `SELECT has_schema_privilege($1, 'CREATE') AS "mayCreate"`
  if ((await one<{ mayCreate: boolean }>(database, sql, [columns.schema])).mayCreate) return ['order-expiry migrate']
  return [
    `# the role ${role} may create no table in this schema; as somebody who may:`,
    `${createOutboxSql(columns).replace(/\s+/g, ' ')};`,
    `GRANT INSERT, SELECT ON ${outboxTable(columns)} TO ${role};`,
  ]
}

async function lookAtBacklog(options: Table): Promise<Finding | undefined> {
  const { database, columns, role } = options
  const outbox = outboxTable(columns)
  const sql = `SELECT has_table_privilege($1, 'SELECT') AS "mayRead"`
  if (!(await one<{ mayRead: boolean }>(database, sql, [outbox])).mayRead) {
    return finding('info', 'store-backlog', {
      what: `the role ${role} may not read the outbox`,
      meaning: 'How many events wait in it is not among the metrics: order_expiry_outbox_up is 0.',
      fix: `GRANT SELECT ON ${outbox} TO ${role};`,
    })
  }
  const found = await boundedOne<{ events: number }>(
    database,
    `SELECT count(*)::int AS events FROM (SELECT FROM ${outbox} LIMIT ${MOST_EVENTS_COUNTED + 1}) o`,
  )
  if (found === 'unknown') return undefined
  const events = countUpTo(MOST_EVENTS_COUNTED, found.events, 'event')
  return finding('info', 'store-backlog', { what: `${events} in the outbox; nothing deletes them yet` })
}
