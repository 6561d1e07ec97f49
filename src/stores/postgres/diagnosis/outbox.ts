import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import { COLUMNS_SQL, type ColumnRow, type OrdersTable } from '../columns.ts'
import { oneValue } from '../database.ts'
import { createOutboxSql, OUTBOX_COLUMNS, OUTBOX_TABLE, outboxTable } from '../outbox.ts'
import { countRows } from './bounded-look.ts'

const MOST_EVENTS_COUNTED = 100_000

export async function lookAtOutbox(options: OrdersTable & { role: string }): Promise<Finding[]> {
  const { database, columns, role } = options
  const outbox = outboxTable(columns)
  // How to create it: `migrate` or, if our role may not create a table there, statements for its owner.
  const mayCreate = await oneValue<boolean>(database, "SELECT has_schema_privilege($1, 'CREATE')", [columns.schema])
  const byOwner = [
    `# the role ${role} may create no table in this schema; as somebody who may:`,
    `${createOutboxSql(columns).replace(/\s+/g, ' ')};`,
    `GRANT INSERT, SELECT ON ${outbox} TO ${role};`,
  ]
  const create = mayCreate ? ['order-expiry migrate'] : byOwner
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [outbox])
  if (rows.length === 0) {
    const missing = finding('error', 'store-outbox', {
      what: `there is no table ${outbox}`,
      meaning: 'The daemon does not start: each cancellation adds its event there.',
      fix: create,
    })
    return [missing]
  }
  const lacking = OUTBOX_COLUMNS.filter((name) => !rows.some((row) => row.name === name))
  const wrong = finding('error', 'store-outbox', {
    what: `${outbox} has no ${lacking.join(', ')}`,
    meaning: 'It is not our table, or an old one: no order can be cancelled.',
    fix: [`ALTER TABLE ${outbox} RENAME TO ${OUTBOX_TABLE}_old;`, ...create],
  })
  const right = ok('store-outbox', `${outbox} is as expected`)
  return listed(lacking.length > 0 ? wrong : right, await lookAtBacklog(options))
}

async function lookAtBacklog(options: OrdersTable & { role: string }): Promise<Finding | undefined> {
  const { database, columns, role } = options
  const outbox = outboxTable(columns)
  if (!(await oneValue<boolean>(database, "SELECT has_table_privilege($1, 'SELECT')", [outbox]))) {
    return finding('info', 'store-backlog', {
      what: `the role ${role} may not read the outbox`,
      meaning: 'The metrics do not show how many events wait in it: order_expiry_outbox_up is 0.',
      fix: `GRANT SELECT ON ${outbox} TO ${role};`,
    })
  }
  const found = await countRows(database, outbox, MOST_EVENTS_COUNTED)
  if (found === 'unknown') return undefined
  const events = countUpTo(MOST_EVENTS_COUNTED, found, 'event')
  return finding('info', 'store-backlog', { what: `${events} in the outbox; nothing deletes them yet` })
}
