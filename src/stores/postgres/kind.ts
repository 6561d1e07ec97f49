import type pg from 'pg'
import { type Finding, finding } from '../../doctor/finding.ts'
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

function storeOptions({ settings, connections, watchesPayments, onError, onNotice }: Options): PostgresStoreOptions {
  return {
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
    watchesPayments,
    connections,
    onError,
    onNotice,
  }
}

/** Creates what is missing beside the orders table, and its indexes if asked to. @returns the indexes still missing */
export async function migrateTable(options: PostgresStoreOptions & MigrationOptions): Promise<MissingIndex[]> {
  const { mapping, watchesPayments = false, withIndexes = false } = options
  return withPool({ ...options, connections: 1, isPatient: withIndexes }, async (pool) => {
    const columns = await readColumns(pool, { mapping })
    const database = await pool.connect()
    try {
      return await migratePostgres({ ...options, database, columns, watchesPayments })
    } finally {
      database.release(true)
      await pool.end()
    }
  })
}

/** Looks at the database and the orders table, and changes nothing. @throws {OrderExpiryError} STORE_* */
export async function diagnoseTable(options: PostgresStoreOptions & { clock: Clock }): Promise<Finding[]> {
  const { host, port, pathname } = new URL(options.url)
  const where = `${host || 'a local socket'}${host && !port ? ':5432' : ''}${pathname}`
  const pool = createPool({ ...options, connections: 1 })
  let client: pg.PoolClient | undefined
  try {
    client = await pool.connect()
    const { mapping, clock, watchesPayments = false, connections, cancelSql } = options
    return [
      finding('ok', 'store-reachable', { what: `answers at ${where}` }),
      ...(await diagnosePostgres({ database: client, clock, mapping, watchesPayments, connections, cancelSql })),
    ]
  } catch (error) {
    if (client && sqlStateOf(error)) throw asStoreError(error)
    return [unreachableFinding(where, error)]
  } finally {
    client?.release(true)
    void pool.end().catch(() => {})
  }
}
