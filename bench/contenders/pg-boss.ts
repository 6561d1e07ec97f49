import { PgBoss } from 'pg-boss'
import type { Contender } from '../contender.ts'
import { withDatabase } from '../orders.ts'
import { startCounted } from './countdown.ts'

const QUEUE = 'check-payment'
const JOBS_AT_ONCE = 5_000
const COUNT_SQL = `SELECT count(*)::int AS n FROM pgboss.job WHERE name = '${QUEUE}' AND state < 'completed'`

/** pg-boss, a queue in PostgreSQL. */
export const pgBoss: Contender = {
  name: 'pg-boss',
  advice:
    'pg-boss: one UPDATE per job through a pool of 10, all jobs of a batch at once. Following timgit.github.io/pg-boss, Workers: batchSize 100, ' +
    'localConcurrency 10 (fewer and bigger batches were no faster here), burstWhenBatchFull, polling every 0.5 s, its minimum; jobs added in bulk with insert().',
  cancels: true,
  async place(servers, orders) {
    const boss = new PgBoss({ connectionString: servers.databaseUrl, supervise: false, schedule: false })
    boss.on('error', () => {}) // what fails rejects too
    await boss.start()
    try {
      await boss.createQueue(QUEUE)
      for (let start = 0; start < orders.length; start += JOBS_AT_ONCE) {
        await boss.insert(
          QUEUE,
          orders
            .slice(start, start + JOBS_AT_ONCE)
            .map(({ orderId, deadline }) => ({ data: { orderId }, startAfter: new Date(deadline) })),
        )
      }
    } finally {
      await boss.stop({ graceful: false })
    }
    await withDatabase(servers, (database) => database.query('ANALYZE'))
  },
  start: (servers) => startCounted({ servers, name: 'pg-boss', env: { QUEUE_NAME: QUEUE }, countSql: COUNT_SQL }),
}
