/** The faults that matter most: one for each promise and each way to lose something. `npm test` runs these. */
export const MAIN_CASES: ReadonlySet<string> = new Set([
  'no fault at all',
  'worker killed in the cancelling transaction',
  'worker killed after the cancelling transaction',
  'Redis killed and restarted from its append-only file',
  'lost reply to a finish, cut',
  'orders in Redis: worker killed after the settling script',
  'PostgreSQL stopped immediately in the transaction',
  'lost answer to the COMMIT',
  'worker clock 5 min ahead',
  'duplicate and reordered enqueues',
  'jobs promoted',
  'SIGTERM while busy',
])
