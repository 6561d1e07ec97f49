import { fileURLToPath } from 'node:url'
import { BURST_COLUMNS, runBurst } from '../burst.ts'
import { startWorker } from '../child.ts'
import type { Contender, Running } from '../contender.ts'
import { BULLMQ_QUEUE, bullmqEmpty, watched } from '../contenders/bullmq.ts'
import { ours, startOurs } from '../contenders/ours.ts'
import type { Question } from '../question.ts'
import { eachContender, Lead } from '../run.ts'
import type { Servers } from '../servers.ts'

const GUESS_MS = 0.12
/** As many as our daemon has, without it and with it. */
const AT_ONCE = 500
const PRELOAD = fileURLToPath(new URL('./preload.js', import.meta.url))

const variants: readonly Contender[] = [
  { ...ours },
  {
    ...ours,
    name: 'ours, batch path',
    start: (servers) => startOurs(servers, { NODE_OPTIONS: `--import=${PRELOAD}` }),
  },
  { ...bullmqEmpty, start: (servers) => startEmpty(servers, 'off') },
  { ...bullmqEmpty, name: 'bullmq-empty, batch path', start: (servers) => startEmpty(servers, 'on') },
]

/** What it would bring to tell Redis of the ends of several jobs in one script: a prototype, which no user has. */
export function batchPathQuestion(): Question {
  const lead = new Lead(GUESS_MS)
  return {
    name: 'batch-path',
    title: `The same, with up to 32 ends of jobs in one script, and without; both have ${AT_ONCE} jobs at once.`,
    columns: BURST_COLUMNS,
    onlyIfNamed: true,
    seconds: 50,
    run: (context) =>
      eachContender({ ...context, contenders: variants }, async (contender) => {
        const figures = await runBurst(context, contender, lead)
        return [{ question: 'batch-path', contender: contender.name, case: '', round: context.round, figures }]
      }),
  }
}

async function startEmpty(servers: Servers, batchPath: 'on' | 'off'): Promise<Running> {
  const worker = await startWorker('batch-path', {
    REDIS_URL: servers.redisUrl,
    QUEUE_NAME: BULLMQ_QUEUE,
    CONCURRENCY: `${AT_ONCE}`,
    BATCH_PATH: batchPath,
  })
  return watched(servers, worker)
}
