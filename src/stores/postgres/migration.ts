import { OrderExpiryError } from '../../errors.ts'
import type { MigrationOptions, MissingIndex } from '../store-kind.ts'
import type { OrdersColumns, OrdersMapping } from './columns.ts'
import { type Database, one } from './diagnosis/database.ts'
import { lookAtIndexes } from './diagnosis/indexes.ts'
import { buildMigrations } from './statements.ts'

/**
 * Creates the outbox, and the indexes that `doctor` misses if asked to. May be run again.
 *
 * @param options.database one connection; for indexes, one that waits as long as it takes
 * @returns the indexes that are still missing
 * @throws {OrderExpiryError} STORE_LOCKED while another migration creates indexes
 */
export async function migratePostgres(
  options: MigrationOptions & {
    database: Database
    columns: OrdersColumns
    mapping: OrdersMapping
    watchesPayments: boolean
  },
): Promise<MissingIndex[]> {
  const { database, columns, dryRun, withIndexes, onStatement } = options
  const statements = buildMigrations(columns)
  for (const statement of statements) onStatement?.(statement)
  // One at a time: CREATE TABLE IF NOT EXISTS fails where two do it at once.
  const lock = "SELECT pg_advisory_xact_lock(hashtext('order-expiry migrate'))"
  if (!dryRun) await database.query(['BEGIN', lock, ...statements, 'COMMIT'].join(';\n'))
  if (!withIndexes) return missingIndexes(options)
  return dryRun ? createIndexes(options) : alone(database, () => createIndexes(options))
}

/** What `doctor` warns of. */
async function missingIndexes(options: Parameters<typeof lookAtIndexes>[0]): Promise<MissingIndex[]> {
  return (await lookAtIndexes(options))
    .filter(({ level }) => level === 'warning')
    .map(({ what, meaning = '', fix = '' }) => ({
      why: `${what}. ${meaning}`,
      fix: fix.split('\n'),
      isHarmless: /^CREATE INDEX CONCURRENTLY /m.test(fix),
    }))
}

async function createIndexes(options: Parameters<typeof lookAtIndexes>[0] & MigrationOptions): Promise<MissingIndex[]> {
  const { database, dryRun, onStatement } = options
  const missing = await missingIndexes(options)
  const fixes = missing.flatMap(({ isHarmless, fix }) => (isHarmless ? fix : []))
  for (const statement of fixes.filter((line) => !line.startsWith('#'))) {
    onStatement?.(statement.replace(/;$/, ''))
    if (!dryRun) await database.query(statement)
  }
  return missing.filter(({ isHarmless }) => !isHarmless)
}

/**
 * Does what must not be done twice at once: an index that is being built looks like one that was left invalid. It is not
 * waited for, because an index is not finished while a statement waits that began before it.
 */
async function alone<T>(database: Database, work: () => Promise<T>): Promise<T> {
  const lock = "hashtext('order-expiry migrate --index')"
  await database.query('SET statement_timeout = 0; SET lock_timeout = 0')
  const { isOurs } = await one<{ isOurs: boolean }>(database, `SELECT pg_try_advisory_lock(${lock}) AS "isOurs"`)
  if (!isOurs) {
    throw new OrderExpiryError(
      'STORE_LOCKED',
      'another `order-expiry migrate --index` is creating indexes: wait for it',
    )
  }
  try {
    return await work()
  } finally {
    await database.query(`SELECT pg_advisory_unlock(${lock})`)
  }
}
