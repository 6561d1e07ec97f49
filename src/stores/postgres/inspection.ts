import { OrderExpiryError } from '../../errors.ts'
import { COLUMNS_SQL, type ColumnRow } from './catalogue.ts'
import type { OrdersColumns } from './columns.ts'
import type { Database } from './database.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { type MatchOptions, matchColumns } from './matching.ts'
import { quoteTable } from './quoting.ts'
import { zoneProblem } from './zones.ts'

/** The orders table as it was found; without columns where it does not fit the settings, which `problems` says, a line each. */
interface Inspection {
  rows: readonly ColumnRow[]
  columns?: OrdersColumns
  problems: string[]
}

/** @throws {OrderExpiryError} STORE_MISMATCH, with all that does not fit */
export async function readColumns(database: Database, options: MatchOptions): Promise<OrdersColumns> {
  const { columns, problems } = await inspectTable(database, options)
  if (columns) return columns
  const message = `the orders table does not match the settings:\n  ${problems.join('\n  ')}`
  throw new OrderExpiryError('STORE_MISMATCH', message)
}

export async function inspectTable(database: Database, options: MatchOptions): Promise<Inspection> {
  const { rows } = await database.query<ColumnRow>(COLUMNS_SQL, [quoteTable(options.settings.ORDERS_TABLE)])
  const { columns, problems } = matchColumns(rows, options)
  if (!columns) return { rows, problems }
  const { condition } = columns
  const calls = new Map<string, string[]>([
    ['ORDERS_CONDITION', condition?.calls ?? []],
    ['ORDERS_SET', columns.assigned.flatMap((one) => one.calls)],
  ])
  const functions = await readFunctions(database, [...calls.values()].flat())
  for (const [setting, names] of calls) {
    const changing = names.filter((name) => functions.get(name) === 'v')
    if (changing.length > 0) problems.push(`${setting}: ${volatileProblem(changing)}`)
  }
  problems.push(...(await fragmentProblems(database, columns)))
  const zone = await zoneProblem(database, columns, options.settings)
  if (zone) problems.push(zone)
  if (problems.length > 0) return { rows, problems }
  const isImmutable =
    condition?.calls.every((name) => (functions.get(name) ?? 'i') === 'i') && !OF_THE_SESSION.test(condition.sql)
  return {
    rows,
    problems,
    columns: { ...columns, condition: condition && { ...condition, isImmutable: Boolean(isImmutable) } },
  }
}

/** Values that depend on the session or the time, and so have no place in an index. */
const OF_THE_SESSION =
  /\b(current_\w+|session_user|localtime|localtimestamp|user)\b|::\s*(date|timestamptz|time|regclass)\b/i

function volatileProblem(names: readonly string[]): string {
  const listed = names.map((name) => `${name}()`).join(', ')
  return `expected immutable or stable functions, ${listed} is volatile (if it reads only: ALTER FUNCTION … STABLE)`
}

/** The volatility of the functions of these names, v before s before i; keywords are not among them. */
async function readFunctions(database: Database, names: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await database.query<{ name: string; volatility: string }>(
    `SELECT proname AS name, max(provolatile::text) AS volatility FROM pg_proc
     WHERE proname = ANY ($1) AND prokind = 'f' GROUP BY proname`,
    [names],
  )
  return new Map(rows.map(({ name, volatility }) => [name, volatility]))
}

/** The table under a name that nobody writes: in an index and in some statements it has another one than in the rest. */
const NAMELESS = 'AS " "'

/** What the database says of each part that the shop has written, alone: so that it names the setting that is wrong. */
async function fragmentProblems(database: Database, { table, condition, assigned }: OrdersColumns): Promise<string[]> {
  const parts = [
    ...(condition
      ? [{ setting: 'ORDERS_CONDITION', sql: `SELECT FROM ${table} ${NAMELESS} WHERE (${condition.sql}) IS TRUE` }]
      : []),
    ...assigned.map(({ column, sql }) => ({
      setting: 'ORDERS_SET',
      sql: `UPDATE ${table} ${NAMELESS} SET ${column} = (${sql}) WHERE false`,
    })),
  ]
  const problems: string[] = []
  for (const { setting, sql } of parts) {
    try {
      await database.query(`EXPLAIN ${sql}`)
    } catch (error) {
      const state = sqlStateOf(error) ?? ''
      // Missing permissions are told where all of them are looked at.
      if (state === '42501') continue
      if (!['22', '42', '0A'].includes(state.slice(0, 2))) throw error
      problems.push(
        `${setting}: expected SQL on the columns of one row, without the name of the table and with capitals quoted ("paidAt"); ${asStoreError(error).message}`,
      )
    }
  }
  return problems
}
