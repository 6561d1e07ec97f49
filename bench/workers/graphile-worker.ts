import { run } from 'graphile-worker'
import { openPool } from './cancel.ts'
import { Host, setting } from './host.ts'

/** As many as default PostgreSQL has connections for. */
const CONCURRENT_JOBS = 75

const host = new Host()
const { cancelOne } = openPool()

const runner = await run({
  preset: {
    worker: {
      connectionString: setting('DATABASE_URL'),
      concurrentJobs: CONCURRENT_JOBS,
      maxPoolSize: CONCURRENT_JOBS + 2,
      pollInterval: 1_000,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  taskList: {
    async 'check-payment'(payload) {
      await cancelOne((payload as { orderId: string }).orderId)
      host.finished()
    },
  },
})
runner.promise.catch((error: Error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
host.ready()
