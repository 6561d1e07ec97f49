import { type Finding, finding, listed, ok } from '../../../doctor/finding.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import { COLUMNS_SQL, type ColumnRow } from '../catalogue.ts'
import type { OrdersTable } from '../columns.ts'
import { oneValue } from '../database.ts'
import { FIRST_COLUMNS, missingRecords, OUTBOX_COLUMNS } from '../outbox.ts'
import { splitTable, unquoteIdentifier } from '../quoting.ts'
import { countRows } from './bounded-look.ts'

const MOST_EVENTS_COUNTED = 100_000

/** Whether events can be added, and so the statement that cancels can be planned. */
export async function hasOutbox({ database, columns }: OrdersTable): Promise<boolean> {
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [columns.outbox])
  return OUTBOX_COLUMNS.every((column) => rows.some(({ name }) => name === column))
}

/** Whether our own tables are there, and as we need them. */
export async function lookAtOutbox(
  options: OrdersTable & { role: string; areDelivered?: boolean | undefined },
): Promise<Finding[]> {
  const { database, columns, role } = options
  const { outbox, registry } = columns
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [outbox])
  const lacking = FIRST_COLUMNS.filter((name) => !rows.some((row) => row.name === name))
  const [schema = ''] = splitTable(outbox) ?? []
  const canCreate = "SELECT has_schema_privilege($1, 'CREATE')"
  const mayCreate = await oneValue<boolean>(database, canCreate, [unquoteIdentifier(schema)])
  if (rows.length > 0 && lacking.length > 0) {
    const wrong = finding('error', 'store-outbox', {
      what: `${outbox} has no ${lacking.join(', ')}`,
      meaning: 'It is not our table: no order can be cancelled.',
      fix: [
        '# name another table:',
        'OUTBOX_TABLE=order_expiry_events',
        mayCreate ? 'order-expiry migrate' : '# and run order-expiry migrate as a role that may create tables',
      ],
    })
    return [wrong]
  }
  const canRead = "SELECT coalesce(has_table_privilege(to_regclass($1), 'SELECT'), true)"
  if (!(await oneValue<boolean>(database, canRead, [registry]))) return [] // told among the permissions
  const records = await missingRecords(options)
  const missing = records.filter(({ need }) => need === 'cancelling' || (need === 'deliveries' && options.areDelivered))
  if (missing.length === 0) return listed(ok('store-outbox', `${outbox} is as expected`), await lookAtBacklog(options))
  // How to create it: `migrate` or, if our role may not create a table there, statements for its owner.
  const byOwner = [
    `# the role ${role} may create no table in this schema; as somebody who may:`,
    ...missing.map(({ sql }) => `${sql.replace(/\s+/g, ' ')};`),
    `GRANT INSERT, SELECT${options.areDelivered ? ', UPDATE, DELETE' : ''} ON ${outbox} TO ${role};`,
    `GRANT SELECT ON ${registry} TO ${role};`,
  ]
  const what = rows.length === 0 ? `there is no table ${outbox}` : `${outbox} and ${registry} are not complete`
  const incomplete = finding('error', 'store-outbox', {
    what,
    meaning: 'The daemon does not start: each cancellation adds its event there.',
    fix: mayCreate ? ['order-expiry migrate'] : byOwner,
  })
  return [incomplete]
}

async function lookAtBacklog(options: OrdersTable & { role: string }): Promise<Finding | undefined> {
  const { database, role } = options
  const { outbox } = options.columns
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
