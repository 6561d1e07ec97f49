import type pg from 'pg'
import { type Finding, ok } from '../../doctor/finding.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { MigrationOptions, MissingIndex, StoreKind, StoreOptions } from '../store-kind.ts'
import { readColumns } from './columns.ts'
import { diagnosePostgres, unreachableFinding } from './diagnosis/diagnosis.ts'
import { asStoreError, sqlStateOf } from './errors.ts'
import { migratePostgres } from './migration.ts'
import { createPool, withPool } from './pool.ts'
import type { PostgresSettings } from './settings.ts'
import { PostgresStore, type PostgresStoreOptions } from './store.ts'

type Options = StoreOptions<PostgresSettings & { readonly cancelSql: string | undefined }>

/** Orders in the shop's own table. */
export const postgresKind: StoreKind<Options['settings']> = {
  open: (options) => PostgresStore.open(storeOptions(options)),
  migrate: (options, migration) => migrateTable({ ...storeOptions(options), ...migration }),
  diagnose: (options, clock) => diagnoseTable({ ...storeOptions(options), clock }),
}

function storeOptions({ settings, ...options }: Options): PostgresStoreOptions {
  return {
    ...options,
    url: settings.DATABASE_URL as string, // the settings are refused without it
    mapping: {
      table: settings.ORDERS_TABLE,
      idColumn: settings.ORDERS_ID_COLUMN,
      statusColumn: settings.ORDERS_STATUS_COLUMN,
      deadlineColumn: settings.ORDERS_DEADLINE_COLUMN,
      paidAtColumn: settings.ORDERS_PAID_AT_COLUMN,
      cancelledAtColumn: settings.ORDERS_CANCELLED_AT_COLUMN,
      unpaidStatuses: settings.ORDERS_UNPAID_STATUSES,
      cancelledStatus: settings.ORDERS_CANCELLED_STATUS,
    },
    cancelSql: settings.cancelSql,
  }
}

/** {@link StoreKind.migrate} */
export async function migrateTable(options: PostgresStoreOptions & MigrationOptions): Promise<MissingIndex[]> {
  return withPool({ ...options, connections: 1, isPatient: Boolean(options.withIndexes) }, async (pool) => {
    const columns = await readColumns(pool, { mapping: options.mapping })
    const database = await pool.connect()
    try {
      return await migratePostgres({ ...options, database, columns })
    } finally {
      database.release(true)
      await pool.end()
    }
  })
}

/** {@link StoreKind.diagnose} */
export async function diagnoseTable(options: PostgresStoreOptions & { clock: Clock }): Promise<Finding[]> {
  const { host, port, pathname } = new URL(options.url)
  const where = `${host || 'a local socket'}${host && !port ? ':5432' : ''}${pathname}`
  const pool = createPool({ ...options, connections: 1 })
  let client: pg.PoolClient | undefined
  try {
    client = await pool.connect()
    return [ok('store-reachable', `answers at ${where}`), ...(await diagnosePostgres({ ...options, database: client }))]
  } catch (error) {
    if (client && sqlStateOf(error)) throw asStoreError(error)
    return [unreachableFinding(where, error)]
  } finally {
    client?.release(true)
    void pool.end().catch(() => {})
  }
}
