import { makeWorkerUtils } from 'graphile-worker'
import type { Contender } from '../contender.ts'
import { startCounted } from './countdown.ts'

const JOBS_AT_ONCE = 5_000
const COUNT_SQL = 'SELECT count(*)::int AS n FROM graphile_worker.jobs'

/** graphile-worker, a queue in PostgreSQL. */
export const graphileWorker: Contender = {
  name: 'graphile-worker',
  advice:
    'graphile-worker: one UPDATE per job through a pool of 10. Following worker.graphile.org/docs/performance and /docs/config: localQueue of 500, ' +
    'batched completion without delay, maxPoolSize two more than concurrentJobs, which is 75 (24, as in its own test, was slower in a few runs here); ' +
    'pollInterval 1 s, as in /docs/library; jobs added in bulk with add_jobs.',
  cancels: true,
  async place(servers, orders) {
    const utils = await makeWorkerUtils({ connectionString: servers.databaseUrl })
    try {
      await utils.migrate()
      await utils.withPgClient(async (client) => {
        for (let start = 0; start < orders.length; start += JOBS_AT_ONCE) {
          const jobs = orders.slice(start, start + JOBS_AT_ONCE).map(({ orderId, deadline }) => ({
            identifier: 'check-payment',
            payload: { orderId },
            run_at: new Date(deadline).toISOString(),
          }))
          await client.query(
            `SELECT count(*) FROM graphile_worker.add_jobs(
               ARRAY(SELECT json_populate_recordset(null::graphile_worker.job_spec, $1::json)))`,
            [JSON.stringify(jobs)],
          )
        }
        await client.query('ANALYZE')
      })
    } finally {
      await utils.release()
    }
  },
  start(servers) {
    const env = { NO_LOG_SUCCESS: '1' } // as its own performance test does
    return startCounted({ servers, name: 'graphile-worker', env, countSql: COUNT_SQL })
  },
}
