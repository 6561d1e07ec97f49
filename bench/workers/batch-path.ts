import { createRedisBackend, Worker } from 'bullmq'
import { batchScripts } from '../batch-path/batch-scripts.ts'
import { Host, setting } from './host.ts'

/** BullMQ with an empty handler, the jobs' ends of one turn in one script. */
const host = new Host()
const worker = new Worker(
  setting('QUEUE_NAME'),
  async () => {},
  {
    connection: { url: setting('REDIS_URL'), maxRetriesPerRequest: null },
    concurrency: Number(setting('CONCURRENCY')),
  },
  (...options) => {
    const backend = createRedisBackend(...options)
    if (setting('BATCH_PATH') === 'on') backend.client.then(batchScripts).catch(() => {}) // the worker says so itself
    return backend
  },
)
worker.on('error', (error) => process.stderr.write(`${error.stack}\n`))
worker.on('failed', (_job, error) => process.stderr.write(`${error.stack}\n`))
await worker.waitUntilReady()
host.ready()
