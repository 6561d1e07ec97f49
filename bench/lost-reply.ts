import type { Contender } from './contender.ts'
import { makeOrders, readSettled } from './orders.ts'
import type { Context, Measured, Question } from './question.ts'
import { startReplyThief } from './reply-thief.ts'
import { eachContender, Lead, untilFinished, withOrdersDue } from './run.ts'

const ORDERS = 1_000
/** Whose worker takes orders from Redis, and can lose what Redis says. */
const ASKED = ['ours', 'ours-wrapped', 'before', 'bullmq']
/** They wait for the locks to end, which teaches nothing about the bench itself. */
const SLOW = ['before', 'bullmq']
/** BullMQ's worker looks every 30 s for jobs whose lock has ended, which lasts as long. */
const GIVE_UP_MS = 70_000
const LATE_MS = 1_000
/** In the answer to a claim; in no other one while nothing is due yet. */
const OF_A_JOB = 'orderId'
const GUESS_MS = 0.5

/** How long orders wait of which Redis says that a worker has them, and the worker does not know. */
export function lostReplyQuestion(): Question {
  return {
    name: 'lost-reply',
    title: `${ORDERS.toLocaleString('en')} unpaid orders fall due at the same instant, and the connection breaks with Redis' first answer that hands out some of them, after Redis has marked them as taken: how long until the last is cancelled?`,
    columns: [
      { key: 'secondsUntilLast', title: 'until the last', unit: 's', better: 'less', decimals: 2 },
      { key: 'late', title: `later than ${LATE_MS / 1_000} s`, unit: 'orders', better: 'less' },
      { key: 'missing', title: 'missing', unit: 'orders', better: 'less' },
    ],
    seconds: 50,
    run(context) {
      const contenders = context.contenders.filter(({ name }) => ASKED.includes(name) && isAsked(name, context))
      return eachContender({ ...context, contenders }, (contender) => measure(context, contender))
    },
  }
}

/** A plain BullMQ worker takes the better part of a minute, which is seen from one round. */
function isAsked(name: string, { quick, round }: Context): boolean {
  return quick ? !SLOW.includes(name) : name !== 'bullmq' || round === 1
}

async function measure(context: Context, contender: Contender): Promise<Measured[]> {
  const { servers, round } = context
  const thief = await startReplyThief(servers.redisUrl)
  const robbed = { ...contender, start: () => contender.start({ ...servers, redisUrl: thief.url }) }
  try {
    return await withOrdersDue({
      contender: robbed,
      servers,
      makeOrders: (from) => makeOrders(new Array<number>(ORDERS).fill(from), () => false),
      lead: new Lead(GUESS_MS),
      async measure({ orders, running }) {
        const due = orders[0]?.deadline ?? 0
        const until = due + GIVE_UP_MS
        thief.takeNext(OF_A_JOB)
        await untilFinished({ running, from: due, until })
        if (!thief.hasTaken()) throw new Error('no answer was lost')
        const { cancelledAt, harmed } = await readSettled(servers, orders)
        if (harmed.size > 0) throw new Error(`${harmed.size} orders were harmed, such as cancelled too early`)
        const lateness = orders.map(({ orderId }) => (cancelledAt.get(orderId) ?? until) - due)
        const figures = {
          secondsUntilLast: Math.max(...lateness) / 1_000,
          late: lateness.filter((ms) => ms > LATE_MS).length,
          missing: orders.length - cancelledAt.size,
        }
        return [{ question: 'lost-reply', contender: contender.name, case: '', round, figures }]
      },
    })
  } finally {
    await thief.close()
  }
}
