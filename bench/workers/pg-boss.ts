import { PgBoss } from 'pg-boss'
import { openPool } from './cancel.ts'
import { Host, setting } from './host.ts'

const host = new Host()
const { cancelOne } = openPool()
const queue = setting('QUEUE_NAME')

const boss = new PgBoss({ connectionString: setting('DATABASE_URL') })
boss.on('error', (error) => process.stderr.write(`${error.stack}\n`))
await boss.start()
await boss.createQueue(queue)
await boss.work<{ orderId: string }>(
  queue,
  {
    batchSize: 100,
    localConcurrency: 10,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
  },
  async (jobs) => {
    await Promise.all(jobs.map(({ data }) => cancelOne(data.orderId)))
    host.finished(jobs.length)
  },
)
host.ready()
