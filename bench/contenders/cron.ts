import type { Contender } from '../contender.ts'
import { startCounted } from './countdown.ts'

const COUNT_SQL = `SELECT count(*)::int AS n FROM orders WHERE status = 'pending' AND paid_at IS NULL`

/** No queue at all: the orders table is asked for what is due, again and again. */
export const cron: Contender = {
  name: 'cron',
  advice:
    'A poll of the orders table every second: one UPDATE for everything due, through the partial index on unpaid orders.',
  cancels: true,
  async place() {}, // the row is enough
  start: (servers) => startCounted({ servers, name: 'cron', countSql: COUNT_SQL }),
}
