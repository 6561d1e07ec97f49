import { OrderExpiryError } from '../../errors.ts'
import type { MigrationOptions, MissingIndex } from '../store-kind.ts'
import { oneValue } from './database.ts'
import { lookAtIndexes } from './diagnosis/indexes.ts'
import { sqlStateOf } from './errors.ts'
import { readColumns } from './inspection.ts'
import { missingRecords } from './outbox.ts'
import { withPool } from './pool.ts'
import { quoteLiteral } from './quoting.ts'
import type { PostgresStoreOptions } from './settings.ts'

/** Functions in the condition of an index must be immutable. */
const NOT_IMMUTABLE = '42P17'

type Table = Parameters<typeof lookAtIndexes>[0]

/** May be run again. @throws {OrderExpiryError} STORE_LOCKED while another migration creates indexes */
export async function migratePostgres(
  options: PostgresStoreOptions,
  migration: MigrationOptions,
): Promise<MissingIndex[]> {
  const { dryRun, withIndexes = false, onStatement } = migration
  return withPool({ ...options, connections: 1, isPatient: withIndexes }, async (pool) => {
    const columns = await readColumns(pool, { settings: options.settings })
    const database = await pool.connect()
    const table = { ...options, database, columns }
    try {
      // One at a time: CREATE TABLE IF NOT EXISTS fails where two do it at once.
      const lock = "SELECT pg_advisory_xact_lock(hashtext('order-expiry migrate'))"
      const statements = (await missingRecords(table)).map(({ sql }) => sql)
      for (const statement of statements) onStatement?.(statement)
      if (!dryRun) await database.query(['BEGIN', lock, ...statements, 'COMMIT'].join(';\n'))
      if (!withIndexes) return await missingIndexes(table)
      if (dryRun) return await createIndexes(table, migration)
      return await alone(table, () => createIndexes(table, migration))
    } finally {
      database.release(true)
      await pool.end()
    }
  })
}

/** What `doctor` warns of. */
export async function missingIndexes(table: Table): Promise<MissingIndex[]> {
  return (await lookAtIndexes(table))
    .filter(({ level }) => level === 'warning')
    .map(({ what, meaning = '', fix = '' }) => ({
      why: `${what}. ${meaning}`,
      fix: fix.split('\n'),
      isHarmless: /^CREATE INDEX CONCURRENTLY /m.test(fix),
    }))
}

async function createIndexes(table: Table, options: MigrationOptions): Promise<MissingIndex[]> {
  const missing = await missingIndexes(table)
  try {
    await create(missing.filter(({ isHarmless }) => isHarmless))
  } catch (error) {
    const { condition } = table.columns
    if (sqlStateOf(error) !== NOT_IMMUTABLE || !condition?.isImmutable) throw error
    // Of the functions in ORDERS_CONDITION we know the names only; of a cast, not even these.
    const columns = { ...table.columns, condition: { ...condition, isImmutable: false } }
    return createIndexes({ ...table, columns }, options)
  }
  return missing.filter(({ isHarmless }) => !isHarmless)

  async function create(indexes: readonly MissingIndex[]): Promise<void> {
    for (const line of indexes.flatMap(({ fix }) => fix)) {
      if (line.startsWith('#')) continue
      options.onStatement?.(line.replace(/;$/, ''))
      if (!options.dryRun) await table.database.query(line)
    }
  }
}

/**
 * Keeps out a second migration of the same table, to which an index being built would look like one left invalid. It does not wait for the
 * lock, because building an index waits for every statement that began before it.
 */
async function alone<T>(table: Table, work: () => Promise<T>): Promise<T> {
  const { database } = table
  const lock = `hashtext(${quoteLiteral(`order-expiry migrate --index ${table.columns.table}`)})`
  await database.query('SET statement_timeout = 0; SET lock_timeout = 0')
  if (!(await oneValue<boolean>(database, `SELECT pg_try_advisory_lock(${lock})`))) {
    const message = 'another `order-expiry migrate --index` is creating indexes: wait for it'
    throw new OrderExpiryError('STORE_LOCKED', message)
  }
  try {
    return await work()
  } finally {
    await database.query(`SELECT pg_advisory_unlock(${lock})`)
  }
}
