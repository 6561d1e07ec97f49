import pg from 'pg'
import { asStoreError } from './errors.ts'
import type { PostgresStoreOptions } from './settings.ts'

const STATEMENT_TIMEOUT_MS = 10_000
const TIMEOUTS = {
  statement_timeout: STATEMENT_TIMEOUT_MS,
  idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
  /** For locks that SKIP LOCKED does not skip: a trigger's, the stock row's, a migration's. A batch waits no longer. */
  lock_timeout: 200,
  /** Longer than the server's own time-out, for a server that is gone or frozen. */
  query_timeout: 12_000,
  /** Plans of prepared statements live as long as their connection, and must keep up with a growing table. */
  maxLifetimeSeconds: 60,
}
const CONNECT_TIMEOUT_MS = 5_000

/** @param options.isPatient statements may take, and wait, as long as they need, as those that build an index */
type PoolOptions = Pick<PostgresStoreOptions, 'settings' | 'connections' | 'onError'> & { isPatient?: boolean }

/** Connections on which nothing waits for ever, and which report their errors instead of ending the process. */
export function createPool({ settings, connections, onError, isPatient }: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: settings.DATABASE_URL as string, // the settings are refused without it
    max: connections,
    application_name: 'order-expiry',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...(!isPatient && TIMEOUTS),
    keepAlive: true,
  })
  pool.on('error', onError)
  // The pool listens to idle clients only. One whose connection is lost while it is in use is dropped when it comes back.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/** Hands a pool to `work`; if that fails, the pool is ended. @throws {OrderExpiryError} STORE_* */
export async function withPool<T>(options: PoolOptions, work: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = createPool(options)
  try {
    return await work(pool)
  } catch (error) {
    void pool.end().catch(() => {})
    throw asStoreError(error)
  }
}
