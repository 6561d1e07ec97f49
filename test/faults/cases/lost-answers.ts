import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultCase, LOST_MS } from '../harness/fault-case.ts'
import type { Rule } from '../harness/fault-proxy.ts'
import { crowd, during, SOON } from '../harness/workload.ts'
import { REDIS_MARKS, type World } from '../harness/world.ts'

type Asked = 'fetch' | 'finish' | 'putBack'
const NAMES: Record<Asked, string> = { fetch: 'a fetch', finish: 'a finish', putBack: 'a put-back' }
/** Several batches. */
const ORDERS = 300
/** An order that is checked so long before its deadline is put back. */
const EARLY_MS = 800

/** The only worker loses, in the middle of one crowd, what it asks Redis, and in the middle of another one the answer. */
async function lose(world: World, asked: Asked, actions: readonly Rule['action'][]): Promise<void> {
  for (const action of actions) {
    const deadline = await crowd(world, { orders: ORDERS, inMs: 2_500 })
    await sleep(deadline - (asked === 'putBack' ? EARLY_MS : 0) - Date.now())
    const { hit } = world.toRedis.intercept({ matches: (request) => REDIS_MARKS[asked].test(request), action })
    if (asked === 'putBack') await promoteSome(world)
    await hit
  }
}

/** As an operator does it, on the board. */
async function promoteSome(world: World): Promise<void> {
  const jobs = await world.rawQueue.getDelayed(0, 100)
  await Promise.all(jobs.map((job) => job.promote().catch(() => {}))) // one may have become due
}

function lost(asked: Asked, how: 'cut' | 'half open'): FaultCase {
  const isCut = how === 'cut'
  return {
    name: `lost reply to ${NAMES[asked]}, ${how}`,
    injected: `of ${ORDERS} orders, the proxy swallows ${NAMES[asked]}, and of as many others what Redis answers to one; then the connection is ${how}`,
    promise: 'within 2 s of the deadline, by the same worker, and nothing twice',
    boundMs: LOST_MS,
    seconds: 15,
    ...(!isCut && { isAlone: true }),
    world: { workers: 1, hasStock: asked === 'finish', env: { SWEEP_EVERY: '20s' } },
    async run(world) {
      const startedAt = Date.now()
      const actions = isCut ? (['lose', 'lose-reply'] as const) : (['lose-half-open', 'lose-reply-half-open'] as const)
      await during(world, SOON, () => lose(world, asked, actions))
      return startedAt
    },
  }
}

export const lostAnswerCases: FaultCase[] = [
  lost('fetch', 'cut'),
  lost('fetch', 'half open'),
  lost('finish', 'cut'),
  lost('finish', 'half open'),
  lost('putBack', 'cut'),
  lost('putBack', 'half open'),
]
