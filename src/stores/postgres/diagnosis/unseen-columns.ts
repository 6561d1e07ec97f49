import { type Finding, finding, listed } from '../../../doctor/finding.ts'
import { countUpTo } from '../../../runtime/human-numbers.ts'
import { COLUMNS_SQL, type ColumnRow } from '../catalogue.ts'
import { purposeOf } from '../column-names.ts'
import type { OrdersTable } from '../columns.ts'
import { one } from '../database.ts'
import { unquoteIdentifier } from '../quoting.ts'
import { isUnpaid } from '../sql.ts'
import { namesColumn } from '../sql-fragment.ts'
import { glance } from './bounded-look.ts'
import { type Mark, markOf } from './marks.ts'

const MOST_ORDERS_COUNTED = 1_000
/** Unpaid orders in which we look for the values that occur. */
const ROWS_READ = 10_000
const VALUES_SHOWN = 10

type Options = OrdersTable & { cancelSql: string | undefined }

/** Columns that seem to say that an order is paid, or deleted, and that nothing looks at. */
export async function lookAtUnseenColumns(options: Options): Promise<Finding[]> {
  const unseen = await readUnseen(options)
  const marksOf = (purpose: 'payment' | 'deletion') => {
    const rows = unseen.filter(({ name }) => purposeOf(name) === purpose)
    return readMarks(options, rows)
  }
  const paid = await marksOf('payment')
  return listed(paymentFinding(options, paid), deletionFinding(options, await marksOf('deletion'), paid))
}

async function readUnseen({ database, columns, cancelSql = '' }: Options): Promise<ColumnRow[]> {
  const { table, id, status, deadline, paidAt, cancelledAt, condition } = columns
  const named = [id, status?.sql, deadline?.sql, paidAt?.sql, cancelledAt?.sql]
    .filter((sql) => sql !== undefined)
    .map(unquoteIdentifier)
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [table])
  const written = [condition?.sql ?? '', cancelSql]
  const isNamed = (name: string) => named.includes(name) || written.some((sql) => namesColumn(sql, name))
  const used = rows.map(({ name }) => name).filter(isNamed)
  const { generated, view } = await one<{ generated: string; view: string }>(database, DEFINITIONS_SQL, [table, used])
  // What a view shows is named once in it; what it also decides by, once more.
  const isSeen = (name: string) =>
    namesColumn(generated, name) || view.split('\n').filter((line) => namesColumn(line, name)).length > 1
  return rows.filter(({ name }) => !isNamed(name) && !isSeen(name))
}

/* $1 the table, $2 the columns in use. What is generated in them, and the text of a view. */
const DEFINITIONS_SQL = `
SELECT coalesce((SELECT string_agg(pg_get_expr(d.adbin, d.adrelid), ', ') FROM pg_attrdef d
                 JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                 WHERE d.adrelid = c.oid AND a.attgenerated <> '' AND a.attname = ANY ($2)), '') AS generated,
       CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) ELSE '' END AS view
FROM pg_class c WHERE c.oid = $1::regclass`

async function readMarks({ database, columns }: OrdersTable, rows: readonly ColumnRow[]): Promise<Mark[]> {
  const unpaid = `${columns.table} WHERE ${isUnpaid(columns)}`
  let isSlow = false // then it is asked no more
  const look = async <T>(sql: string, otherwise: T): Promise<T> => {
    const found = isSlow ? 'unknown' : await glance<T>(database, sql)
    isSlow ||= found === 'unknown'
    return found === 'unknown' ? otherwise : found
  }
  const readValues = (column: string) => {
    const read = `SELECT DISTINCT v FROM (SELECT ${column}::text AS v FROM ${unpaid} LIMIT ${ROWS_READ}) o`
    return look<string[]>(
      `SELECT ARRAY(SELECT v FROM (${read}) o WHERE v IS NOT NULL ORDER BY v LIMIT ${VALUES_SHOWN})`,
      [],
    )
  }
  const marks: Mark[] = []
  for (const row of rows) {
    const mark = await markOf(row, readValues)
    if (!mark) continue
    const marked = `SELECT FROM ${unpaid} AND ${mark.isSet} LIMIT ${MOST_ORDERS_COUNTED + 1}`
    marks.push({ ...mark, orders: mark.isSet ? await look(`SELECT count(*)::int FROM (${marked}) o`, 0) : 0 })
  }
  return marks
}

function paymentFinding(options: Options, marks: readonly Mark[]): Finding | undefined {
  if (marks.length === 0) return undefined
  const paid = marks.find(({ orders }) => orders > 0)
  const proof =
    paid &&
    `; ${countUpTo(MOST_ORDERS_COUNTED, paid.orders, 'order')} counted as unpaid ${paid.orders === 1 ? 'is' : 'are'} paid by ${paid.name}`
  return finding('warning', 'store-paid-columns', {
    what: `no setting looks at ${namesOf(marks)}, which by ${marks.length === 1 ? 'its name says' : 'their names say'} whether an order is paid${proof ?? ''}`,
    meaning: 'An order that is paid only there is cancelled at its deadline.',
    fix: fixesOf(options, marks),
  })
}

function deletionFinding(options: Options, marks: readonly Mark[], paid: readonly Mark[]): Finding | undefined {
  if (marks.length === 0) return undefined
  return finding('info', 'store-deleted-columns', {
    what: `no setting looks at ${namesOf(marks)}, which by ${marks.length === 1 ? 'its name says' : 'their names say'} whether an order is deleted`,
    meaning: 'A deleted order that is unpaid is cancelled like any other.',
    fix: [
      '# if deleted orders are to be left alone:',
      conditionOf(options, [...split(options, paid).others, ...marks]),
    ],
  })
}

function namesOf(marks: readonly Mark[]): string {
  return marks.map(({ name }) => name).join(', ')
}

function fixesOf(options: Options, marks: readonly Mark[]): string[] {
  const { time, others } = split(options, marks)
  return [
    ...others.flatMap(({ name, values }) => (values.length > 0 ? [`# values of ${name}: ${values.join(', ')}`] : [])),
    ...(time ? [`ORDERS_PAID_AT_COLUMN=${time.name}`] : []),
    ...(others.length > 0 ? [conditionOf(options, others)] : []),
    ...(options.cancelSql ? ['# and let your own statement (CANCEL_SQL_FILE) ask for the same'] : []),
  ]
}

/** One time of payment has a setting of its own; all else is a condition. */
function split({ columns }: Options, paid: readonly Mark[]) {
  const time = columns.paidAt ? undefined : paid.find(({ isTime }) => isTime)
  return { time, others: paid.filter((mark) => mark !== time) }
}

/** Together with the condition that there is. */
function conditionOf({ columns }: Options, marks: readonly Mark[]): string {
  const given = columns.condition?.sql
  const now = given && (/\bor\b/i.test(given) ? `(${given})` : given)
  return `ORDERS_CONDITION=${[now, ...marks.map(({ isUnset }) => isUnset)].filter(Boolean).join(' AND ')}`
}
