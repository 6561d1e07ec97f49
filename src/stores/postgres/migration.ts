import { OrderExpiryError } from '../../errors.ts'
import type { MigrationOptions, MissingIndex } from '../store-kind.ts'
import { type Database, one } from './database.ts'
import { lookAtIndexes } from './diagnosis/indexes.ts'
import { createOutboxSql } from './outbox.ts'

type Table = Parameters<typeof lookAtIndexes>[0]

/**
 * Creates the outbox, and the indexes that `doctor` misses if asked to. May be run again.
 *
 * @param options.database for indexes, a connection that waits as long as it takes
 * @returns the indexes that are still missing
 * @throws {OrderExpiryError} STORE_LOCKED while another migration creates indexes
 */
export async function migratePostgres(options: MigrationOptions & Table): Promise<MissingIndex[]> {
  const { database, columns, dryRun, withIndexes, onStatement } = options
  const statement = createOutboxSql(columns)
  onStatement?.(statement)
  // One at a time: CREATE TABLE IF NOT EXISTS fails where two do it at once.
  const lock = "SELECT pg_advisory_xact_lock(hashtext('order-expiry migrate'))"
  if (!dryRun) await database.query(['BEGIN', lock, statement, 'COMMIT'].join(';\n'))
  if (!withIndexes) return missingIndexes(options)
  return dryRun ? createIndexes(options) : alone(database, () => createIndexes(options))
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

async function createIndexes(options: MigrationOptions & Table): Promise<MissingIndex[]> {
  const { database, dryRun, onStatement } = options
  const missing = await missingIndexes(options)
  for (const line of missing.flatMap(({ isHarmless, fix }) => (isHarmless ? fix : []))) {
    if (line.startsWith('#')) continue
    onStatement?.(line.replace(/;$/, ''))
    if (!dryRun) await database.query(line)
  }
  return missing.filter(({ isHarmless }) => !isHarmless)
}

/**
 * Keeps out a second migration, to which an index being built would look like one left invalid. It does not wait for the
 * lock, because building an index waits for every statement that began before it.
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
