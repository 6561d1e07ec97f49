import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import { placeCrowd } from '../harness/workload.ts'
import { REDIS_MARKS, type World } from '../harness/world.ts'

const ORDERS = 60
const isFinish = (request: string) => REDIS_MARKS.finish.test(request)

/** The fields of all jobs there are. */
async function jobs(world: World): Promise<Record<string, string>[]> {
  const lists = ['completed', 'delayed'].map((set) => world.admin.zrange(`bull:check-payment:${set}`, '0', '-1'))
  const ids = [...(await Promise.all(lists)).flat(), ...(await world.admin.lrange('bull:check-payment:active', 0, -1))]
  return Promise.all(ids.map((id) => world.admin.hgetall(`bull:check-payment:${id}`)))
}

export const lockCases: FaultCase[] = [
  {
    name: 'end by a worker that has lost its locks',
    injected:
      'SIGSTOP while the proxy holds what it tells Redis of 60 orders; that arrives, and SIGCONT, once another worker has their locks',
    promise: 'the jobs are ended by the worker that has their locks, and by no other; nothing twice',
    boundMs: KNOWN_MS,
    seconds: 55,
    world: { workers: 0, hasStock: true },
    async run(world) {
      const [ofVictim, ofHeir] = [await world.ownWay(), await world.ownWay()]
      const [victim] = await world.startWorkers(1, ofVictim.env)
      const tooLate = ofVictim.toRedis.intercept({ matches: isFinish, action: 'hold' })
      await placeCrowd(world, { orders: ORDERS, inMs: 1_500 })
      await tooLate.hit
      victim?.signal('SIGSTOP')
      await world.startWorkers(1, ofHeir.env)
      const ending = ofHeir.toRedis.intercept({ matches: isFinish, action: 'hold' })
      await ending.hit

      tooLate.release()
      victim?.signal('SIGCONT')
      await sleep(1_000)
      const completed = await world.countJobs('completed')
      world.expect(completed === 0, `${completed} jobs were ended by a worker that had lost their locks`)
      ending.release()
      return Date.now()
    },
  },
  {
    name: 'ends refused for longer than a lock lasts',
    injected: 'ACL SETUSER default -xtrim for 25 s, while the worker has settled 60 orders and another worker looks on',
    promise: 'each order is checked once: within 1 s of its deadline',
    boundMs: KNOWN_MS,
    seconds: 40,
    refusal: 'ERR', // so it says in a script,
    world: { env: { SWEEP_EVERY: '20s' } },
    async run(world) {
      const { deadline } = await placeCrowd(world, { orders: ORDERS, inMs: 1_500 })
      await world.admin.call('ACL', 'SETUSER', 'default', '-xtrim')
      await sleep(deadline + 25_000 - Date.now())
      await world.admin.call('ACL', 'SETUSER', 'default', '+xtrim')
      while ((await world.countJobs('completed')) < ORDERS && Date.now() < deadline + 60_000) await sleep(100)
      const begun = (await jobs(world)).filter(({ ats }) => ats !== '1').length
      world.expect(begun === 0, `${begun} jobs were begun again while a worker had them`)
      return Date.now()
    },
  },
]
