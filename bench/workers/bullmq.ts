import { Worker } from 'bullmq'
import { openPool } from './cancel.ts'
import { Host, setting } from './host.ts'

const host = new Host()
const { cancelOne } = openPool()

const work: Record<string, (orderId: string) => Promise<void>> = {
  update: cancelOne,
  async nothing() {},
}
const handle = work[setting('WORK')]
if (!handle) throw new Error(`WORK: expected one of ${Object.keys(work).join(', ')}`)

const worker = new Worker<{ orderId: string }>(setting('QUEUE_NAME'), (job) => handle(job.data.orderId), {
  connection: { url: setting('REDIS_URL'), maxRetriesPerRequest: null },
  concurrency: 100,
})
worker.on('error', (error) => process.stderr.write(`${error.stack}\n`))
worker.on('failed', (_job, error) => process.stderr.write(`${error.stack}\n`))
await worker.waitUntilReady()
host.ready()
