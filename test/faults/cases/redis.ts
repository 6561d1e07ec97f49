import { setTimeout as sleep } from 'node:timers/promises'
import { judgePromises } from '../../../src/commands/demo/judge.ts'
import { eventually } from '../../helpers/eventually.ts'
import { type FaultCase, KNOWN_MS, LATE_MS, LOST_MS } from '../harness/fault-case.ts'
import { KillableServer } from '../harness/killable-server.ts'
import { crowd, during, SOON, STEADY, underLoad } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

/** Under load, Redis dies and comes back with what it had written down. */
export async function killAndRestart(world: World): Promise<void> {
  await underLoad(world)
  await world.redis.die('SIGKILL')
  await sleep(1_000)
  await world.redis.start()
}

/** Under load, nobody reaches Redis for a while; the probes must say so. @returns since when */
export async function cutOff(world: World, seconds: number): Promise<number> {
  await underLoad(world)
  world.cutRedis()
  const cutAt = Date.now()
  await sleep(seconds * 1_000 - 1_000) // away for that long, with what follows
  await world.expectAliveAndNotReady()
  await sleep(1_000)
  world.heal()
  return cutAt
}

/** Until a daemon has noticed that its connections are gone. */
const NOTICED_MS = 1_000

/** Orders that fall due while Redis is away do not wait for its return. @returns those that did */
async function judgeOutage(world: World, { from, until }: { from: number; until: number }): Promise<string[]> {
  const facts = await world.shop.history()
  const deadlines = new Map(facts.flatMap(({ orderId, deadline }) => (deadline ? [[orderId, deadline]] : [])))
  const isMeant = (deadline = 0) => deadline > from + NOTICED_MS && deadline < until - LATE_MS
  const withinMs = (orderId: string) => (isMeant(deadlines.get(orderId)) ? LATE_MS : Number.POSITIVE_INFINITY)
  const breaches = judgePromises({ facts, withinMs, healthySince: from, until })
  return breaches.flatMap(({ promise, text }) => (promise === 'I2' ? `${text}, while Redis was away` : []))
}

function redisAway(seconds: number): FaultCase {
  return {
    name: `Redis away for ${seconds} s`,
    injected: 'the proxies cut all connections of workers and producers and refuse new ones',
    promise:
      'within 30 s of its return; orders placed meanwhile within 90 s; rows of the table that fall due meanwhile within 3 s; meanwhile /livez is green and /readyz red',
    boundMs: KNOWN_MS,
    seconds: seconds + 30,
    async run(world) {
      let from = 0
      const until = await during(world, STEADY, async () => {
        from = await cutOff(world, seconds)
      })
      world.violations.push(...(await judgeOutage(world, { from, until })))
      return until
    },
  }
}

/** A command has Redis refuse writes for 8 s. */
function refusing(
  options: Pick<FaultCase, 'name' | 'injected' | 'promise'> & {
    refusal: string
    command: readonly string[]
    /** Its last arguments, for those 8 s and after them. */
    during: readonly string[]
    after: readonly string[]
  },
): FaultCase {
  const { command, during: refused, after, ...texts } = options
  return {
    ...texts,
    boundMs: KNOWN_MS,
    seconds: 45,
    world: { env: { SWEEP_EVERY: '20s' } },
    run: (world) => {
      const [name = '', ...args] = command
      return during(world, STEADY, async () => {
        await underLoad(world)
        await world.admin.call(name, ...args, ...refused)
        await sleep(8_000)
        await world.admin.call(name, ...args, ...after)
      })
    },
  }
}

/** Several claims, and several batches. */
const BURST = 1_000

/** BullMQ's script takes all that are due out of the delayed jobs before it writes them anywhere else; ours writes first. */
const REFUSED_CLAIM = {
  injected: 'ACL SETUSER default -lpush for 6 s while 300 orders are due: the claim is refused at its first write',
  refusal: 'ERR', // so it says in a script
  async run(world: World) {
    const deadline = await crowd(world, { orders: 300, inMs: 2_000 })
    await world.admin.call('ACL', 'SETUSER', 'default', '-lpush')
    await sleep(deadline + 6_000 - Date.now())
    await world.admin.call('ACL', 'SETUSER', 'default', '+lpush')
    return Date.now()
  },
}

export const redisCases: FaultCase[] = [
  {
    name: 'scripts forgotten in a burst',
    injected: `SCRIPT FLUSH six times while ${BURST} orders are due`,
    promise: 'within 2 s of the deadline, and nothing twice',
    boundMs: LOST_MS,
    seconds: 15,
    isAlone: true,
    async run(world) {
      const deadline = await crowd(world, { orders: BURST, inMs: 2_000 })
      await sleep(deadline - Date.now())
      for (let round = 0; round < 6; round++) {
        await world.admin.script('FLUSH')
        await sleep(30)
      }
      return deadline
    },
  },
  {
    name: 'replica promoted in a burst',
    injected: `SIGKILL of Redis while ${BURST} orders are due; its replica, which knows no scripts, is promoted at once`,
    promise: 'nothing twice; within 30 s, and what the replica did not hear of within 90 s',
    boundMs: KNOWN_MS,
    seconds: 45,
    world: { env: { SWEEP_EVERY: '20s' } },
    run: (world) =>
      during(world, SOON, async () => {
        const replica = await KillableServer.redis()
        const { port } = world.redis
        await replica.ask(async (redis) => {
          await redis.replicaof('127.0.0.1', port)
          const isUp = async () => /master_link_status:up/.test(await redis.info('replication'))
          await eventually('the replica has what Redis has', isUp)
        })
        const deadline = await crowd(world, { orders: BURST, inMs: 2_000 })
        await sleep(deadline + 100 - Date.now())
        world.known.clear() // what has not reached the replica
        await world.failOver(replica)
      }),
  },
  {
    ...REFUSED_CLAIM,
    name: 'a claim refused half-way',
    promise: 'no job is lost: within 3 s of its end',
    boundMs: LATE_MS,
    seconds: 25,
    world: { env: { SWEEP_EVERY: '5m' } },
  },
  {
    ...REFUSED_CLAIM,
    name: 'a claim refused half-way; wrapped claims',
    promise: "BullMQ's own script loses the jobs: the next sweep settles their orders, within 30 s of the end",
    boundMs: KNOWN_MS,
    seconds: 60,
    world: { env: { CLAIMS: 'wrapped', SWEEP_EVERY: '20s' } },
    async run(world) {
      const endedAt = await REFUSED_CLAIM.run(world)
      await sleep(42_000) // a worker that has nothing to claim counts as refused for 40 s
      return endedAt
    },
  },
  {
    name: 'Redis killed and restarted from its append-only file',
    injected: 'SIGKILL under load, started again on the same files after 1 s',
    promise: 'within 30 s of its return; orders placed meanwhile within 90 s',
    boundMs: KNOWN_MS,
    seconds: 45,
    world: { env: { SWEEP_EVERY: '20s' } },
    run: (world) => during(world, STEADY, () => killAndRestart(world)),
  },
  {
    name: 'Redis emptied',
    injected: 'FLUSHALL under load',
    promise: 'every order, forgotten or new, within 90 s',
    boundMs: KNOWN_MS,
    seconds: 80,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world, 60)
        await world.admin.flushall()
        world.known.clear()
      }),
  },
  redisAway(3),
  redisAway(14),
  redisAway(62),
  {
    name: 'Redis frozen for 20 s',
    injected: 'SIGSTOP of the server under load, SIGCONT after 20 s',
    promise: 'within 30 s of its return; orders placed meanwhile within 90 s',
    boundMs: KNOWN_MS,
    seconds: 95,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world)
        world.redis.freeze()
        await sleep(20_000)
        world.redis.thaw()
      }),
  },
  refusing({
    name: 'Redis read-only under load',
    injected: 'REPLICAOF an address where nobody is, for 8 s; then REPLICAOF NO ONE',
    promise: 'within 30 s of its return; orders placed meanwhile within 90 s; at most 10 log lines a second',
    refusal: 'READONLY',
    command: ['REPLICAOF'],
    during: ['127.0.0.1', '1'],
    after: ['NO', 'ONE'],
  }),
  refusing({
    name: 'Redis without the replicas that it must have',
    injected: 'CONFIG SET min-replicas-to-write 1 under load, for 8 s: every write is refused',
    promise: 'within 30 s of its end; orders placed meanwhile within 90 s; at most 10 log lines a second',
    refusal: 'NOREPLICAS',
    command: ['CONFIG', 'SET', 'min-replicas-to-write'],
    during: ['1'],
    after: ['0'],
  }),
  refusing({
    name: 'memory limit of Redis reached',
    injected: 'CONFIG SET maxmemory to less than is in use, for 8 s; nothing may be evicted',
    promise: 'within 30 s of its end; orders placed meanwhile within 90 s',
    refusal: 'OOM',
    command: ['CONFIG', 'SET', 'maxmemory'],
    during: ['1mb'],
    after: ['0'],
  }),
  {
    name: 'job hashes deleted',
    injected: 'DEL of the hashes of 50 waiting jobs, which leaves their ids in the delayed set',
    promise:
      'the orders whose job is gone within 90 s, the others within 30 s; what is left of the jobs is in the failed set',
    boundMs: KNOWN_MS,
    failedJobs: 50,
    seconds: 80,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world, 60)
        const ids = await world.admin.zrange('bull:check-payment:delayed', '0', '49')
        const keys = ids.map((id) => `bull:check-payment:${id}`)
        const data = await Promise.all(keys.map((key) => world.admin.hget(key, 'data')))
        const deleted = await world.admin.del(keys)
        if (deleted === 0) throw new Error('expected jobs to delete')
        for (const json of data) if (json) world.known.delete(String(JSON.parse(json).orderId))
      }),
  },
]
