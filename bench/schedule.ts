import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { killOnExit } from './kill-on-exit.ts'
import type { Context, Measured, Question } from './question.ts'
import { eachContender } from './run.ts'
import type { ProducerTask, Scheduled } from './workers/producer.ts'

/** Who has a producer; the others have none worth comparing. */
const PRODUCERS = ['ours', 'bullmq']
const WHOLE = { alone: 5_000, single: 20_000, bulk: 50_000, hold: 10_000 }
const QUICK = { alone: 500, single: 2_000, bulk: 2_000, hold: 2_000 }
const CALLERS = 100
const WITHIN_MS = 60_000

/** How fast a shop's process gets rid of its orders, and what that costs its other requests. */
export function scheduleQuestion(): Question {
  return {
    name: 'schedule',
    title:
      `One process schedules orders over one connection: one after the other, by ${CALLERS} concurrent callers (both with schedule, ` +
      `against a bare queue.add), and in bulk (scheduleMany, against addBulk by the thousand). Event loop held: the longest that anything else ` +
      `in the process waits while ${WHOLE.hold.toLocaleString('en')} orders are scheduled in bulk.`,
    columns: [
      { key: 'perSecond', title: 'scheduled', unit: '/s', better: 'more' },
      { key: 'longestHoldMs', title: 'event loop held', unit: 'ms', better: 'less', decimals: 1 },
    ],
    seconds: 10,
    run(context) {
      const contenders = context.contenders.filter(({ name }) => PRODUCERS.includes(name))
      return eachContender({ ...context, contenders }, ({ name }) => measure(context, name))
    },
  }
}

async function measure(context: Context, contender: string): Promise<Measured[]> {
  const { servers, quick, round } = context
  await servers.reset()
  const task = { contender, redisUrl: servers.redisUrl, callers: CALLERS, ...(quick ? QUICK : WHOLE) }
  const { alonePerSecond, singlePerSecond, bulkPerSecond, longestHoldMs } = await produce(task)
  const common = { question: 'schedule', contender, round }
  return [
    { ...common, case: 'one after the other', figures: { perSecond: alonePerSecond } },
    { ...common, case: 'concurrent', figures: { perSecond: singlePerSecond } },
    { ...common, case: 'bulk', figures: { perSecond: bulkPerSecond, longestHoldMs } },
  ]
}

/** In a process of its own: what this one did before is not to count. */
async function produce(task: ProducerTask): Promise<Scheduled> {
  const child = fork(fileURLToPath(new URL('./workers/producer.js', import.meta.url)), [JSON.stringify(task)], {
    env: { PATH: process.env.PATH ?? '', NODE_ENV: 'production' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  const letLive = killOnExit(child.pid as number)
  try {
    return await answerOf(child)
  } finally {
    child.kill('SIGKILL')
    letLive()
  }
}

function answerOf(child: ChildProcess): Promise<Scheduled> {
  return new Promise((resolve, reject) => {
    let stderr = ''
    child.stderr?.on('data', (chunk) => {
      stderr = `${stderr}${chunk}`.slice(-2_000)
    })
    const timer = setTimeout(() => reject(new Error(`the producer has got stuck: ${stderr}`)), WITHIN_MS)
    child.once('message', (answer: Scheduled) => {
      clearTimeout(timer)
      resolve(answer)
    })
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`the producer has ended (${code}): ${stderr}`))
    })
  })
}
