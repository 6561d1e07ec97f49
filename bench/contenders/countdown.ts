import pg from 'pg'
import type { WorkerProcess } from '../child.ts'
import type { Servers } from '../servers.ts'

/** Counting takes one part in so many of the time at most: in a big table it costs PostgreSQL as much as some orders. */
const COUNT_SHARE = 10

/**
 * Counts what is unfinished in PostgreSQL, without asking it more often than need be: as long as the worker tells of
 * progress, what was counted before less what it has finished since is near enough.
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
  let counted = { at: Number.NEGATIVE_INFINITY, restMs: 0, total: 0, unfinished: 0 }
  let told = -1
  return {
    async unfinished() {
      const finished = worker.finished()
      const hasProgress = finished > told
      told = finished
      // May be some too many: what is being finished has been told of and is counted all the same.
      const estimate = counted.total - finished
      if (hasProgress && estimate > 0) return estimate
      const now = performance.now()
      if (now < counted.at + counted.restMs) return Math.max(1, Math.min(estimate, counted.unfinished))
      const unfinished = (await pool.query<{ n: number }>(countSql)).rows[0]?.n ?? 0
      const at = performance.now()
      counted = { at, restMs: (at - now) * COUNT_SHARE, total: finished + unfinished, unfinished }
      return unfinished
    },
    close: () => pool.end(),
  }
}
