import { type Finding, finding } from '../../../doctor/finding.ts'
import type { OrdersTable } from '../columns.ts'
import { whyNotUnique } from '../uniqueness.ts'
import { glance } from './bounded-look.ts'

const EXAMPLES_TOLD = 5

/** Whether several rows may have one id, and do. */
export async function lookAtIds(table: OrdersTable): Promise<Finding | undefined> {
  const { database, columns } = table
  if (columns.isUnique) return undefined
  const { id, name } = columns
  const twice = `SELECT ARRAY(SELECT ${id}::text FROM ${columns.table} GROUP BY ${id} HAVING count(*) > 1 LIMIT ${EXAMPLES_TOLD})`
  const examples = await glance<string[]>(database, twice)
  const why = `it cannot be proved that no two rows of ${name} have the same id, since ${await whyNotUnique(table)}`
  const meaning = 'An order with several rows is not cancelled, but rejected.'
  if (examples === 'unknown' || examples.length === 0) {
    const so = examples === 'unknown' ? 'whether some have could not be told in time' : 'now, none have'
    return finding('info', 'store-ids', { what: `${why}; ${so}`, meaning })
  }
  return finding('warning', 'store-ids', {
    what: `several rows have the same id, such as ${examples.join(', ')}; ${why}`,
    meaning,
    fix: "# name a view in ORDERS_TABLE that has an id of its own for each row, such as shop_id || '-' || number (docs/tables.md)",
  })
}
