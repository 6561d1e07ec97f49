import pg from 'pg'
import type { WorkerProcess } from '../child.ts'
import type { Servers } from '../servers.ts'

/**
 * Counts what is unfinished in PostgreSQL, without asking it more often than need be: counting a big table takes it as long
 * as some orders. What the worker says is enough until it says that all is finished.
 */
export function watchTable(options: {
  servers: Servers
  worker: WorkerProcess
  /** Counts what is unfinished, as `n`. */
  countSql: string
}): { unfinished(): Promise<number>; close(): Promise<void> } {
  const { servers, worker, countSql } = options
  const pool = new pg.Pool({ connectionString: servers.databaseUrl, max: 1 })
  pool.on('error', () => {}) // the database goes away with the next reset
  let total: number | undefined
  return {
    async unfinished() {
      const before = worker.finished()
      if (total !== undefined && total > before) return total - before
      const count = (await pool.query<{ n: number }>(countSql)).rows[0]?.n ?? 0
      total = before + count
      return count
    },
    close: () => pool.end(),
  }
}
