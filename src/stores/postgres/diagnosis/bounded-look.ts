import { type Finding, type FindingCode, finding } from '../../../doctor/finding.ts'
import { type Database, oneValue } from '../database.ts'
import { asStoreError, sqlStateOf } from '../errors.ts'

/** For a look at the rows themselves, of which there may be many. */
const READING_MS = 1_000
/** For one that only adds to what is known: together, all looks must end before doctor gives up. */
export const GLANCE_MS = 300
/** For a look that reads no rows, and takes long only if the machine is busy. */
export const PLANNING_MS = 8_000

/** What a look at the rows shows, within `ms` for each statement. */
export async function bounded<T>(database: Database, look: () => Promise<T>, ms = READING_MS): Promise<T | 'unknown'> {
  await database.query('BEGIN READ ONLY')
  try {
    await database.query(`SET LOCAL statement_timeout = ${ms}`)
    return await look()
  } catch (error) {
    // Cancelled by the time-out, held up by a lock, or not allowed; or ORDERS_CONDITION fails for one of the rows.
    if (['57014', '55P03', '42501'].includes(sqlStateOf(error) ?? '')) return 'unknown'
    if (asStoreError(error).code === 'STORE_REJECTED') return 'unknown'
    throw error
  } finally {
    await database.query('ROLLBACK')
  }
}

/** {@link oneValue} as a {@link bounded} look at the rows. */
export async function boundedValue<T>(...statement: Parameters<typeof oneValue>): Promise<T | 'unknown'> {
  return bounded(statement[0], () => oneValue<T>(...statement))
}

/** {@link oneValue} as a glance at the rows. */
export async function glance<T>(database: Database, sql: string): Promise<T | 'unknown'> {
  return bounded(database, () => oneValue<T>(database, sql), GLANCE_MS)
}

/** How many rows there are, counted to one more than `most`. */
export async function countRows(
  database: Database,
  from: string,
  most: number,
  ms = READING_MS,
): Promise<number | 'unknown'> {
  const sql = `SELECT count(*)::int FROM (SELECT FROM ${from} LIMIT ${most + 1}) o`
  return bounded(database, () => oneValue<number>(database, sql), ms)
}

/** The finding if {@link bounded} answers 'unknown'. */
export function cannotTell(code: FindingCode, what: string, ms = READING_MS): Finding {
  return finding('info', code, {
    what: `could not tell ${what} within ${ms / 1_000} s`,
    meaning: 'The table is large and has no index for it, the database is busy, or ORDERS_CONDITION fails for a row.',
  })
}
