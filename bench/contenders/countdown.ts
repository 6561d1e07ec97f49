import pg from 'pg'
import { startWorker, type WorkerProcess } from '../child.ts'
import type { Running } from '../contender.ts'
import type { Servers } from '../servers.ts'

/** Counting takes at most one part in this many of the time: in a large table, it costs PostgreSQL as much as some orders. */
const COUNT_SHARE = 10

/** Starts `workers/<name>`, whose unfinished checks are counted in PostgreSQL. */
export async function startCounted(options: {
  servers: Servers
  name: string
  env?: Record<string, string>
  /** Counts what is unfinished, as `n`. */
  countSql: string
}): Promise<Running> {
  const { servers, name, env, countSql } = options
  const worker = await startWorker(name, { DATABASE_URL: servers.databaseUrl, ...env })
  const table = watchTable({ servers, worker, countSql })
  return {
    pids: [worker.pid],
    unfinished: () => table.unfinished(),
    async stop() {
      await worker.stop()
      await table.close()
    },
  }
}

/**
 * Counts what is unfinished in PostgreSQL, without asking it more often than need be: as long as the worker tells of
 * progress, what was counted before less what it has finished since is near enough.
 */
function watchTable(options: { servers: Servers; worker: WorkerProcess; countSql: string }): {
  unfinished(): Promise<number>
  close(): Promise<void>
} {
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
      // May be a few too many: the table can still count what the worker has already told as finished.
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
