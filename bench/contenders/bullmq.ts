import type { JobsOptions } from 'bullmq'
import { startWorker } from '../child.ts'
import type { Contender, Running } from '../contender.ts'
import type { Servers } from '../servers.ts'
import { addJobs, watchQueue } from './bullmq-queue.ts'

const QUEUE = 'bench'

/** What a shop writes by BullMQ's documentation: a worker with one conditional UPDATE for each job. */
export const bullmq: Contender = {
  name: 'bullmq',
  advice:
    'A plain BullMQ worker: one conditional UPDATE per job through a pool of 10; jobs added with addBulk, with 3 attempts and back-off; ' +
    'concurrency 100, as docs.bullmq.io/guide/workers/concurrency advises for work that waits on the network.',
  cancels: true,
  place: (servers, orders) => place(servers, orders, { attempts: 3, backoff: { type: 'exponential', delay: 1_000 } }),
  start: (servers) => start(servers, 'update'),
}

/** BullMQ's ceiling: the handler does nothing. */
export const bullmqEmpty: Contender = {
  name: 'bullmq-empty',
  advice:
    'BullMQ with an empty handler and concurrency 100; jobs added with addBulk, without attempts or back-off: the ceiling.',
  cancels: false,
  place: (servers, orders) => place(servers, orders, {}),
  start: (servers) => start(servers, 'nothing'),
}

function place(servers: Servers, orders: Parameters<Contender['place']>[1], extras: JobsOptions): Promise<void> {
  return addJobs({ servers, queueName: QUEUE, orders, extras })
}

async function start(servers: Servers, work: 'update' | 'nothing'): Promise<Running> {
  const worker = await startWorker('bullmq', {
    REDIS_URL: servers.redisUrl,
    DATABASE_URL: servers.databaseUrl,
    QUEUE_NAME: QUEUE,
    WORK: work,
  })
  const queue = watchQueue(servers, QUEUE)
  return {
    pids: [worker.pid],
    unfinished() {
      worker.finished() // throws if it has ended
      return queue.unfinished()
    },
    async stop() {
      queue.close()
      await worker.stop()
    },
  }
}
