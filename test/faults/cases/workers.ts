import { setTimeout as sleep } from 'node:timers/promises'
import type { DaemonProcess } from '../../helpers/daemon.ts'
import { eventually } from '../../helpers/eventually.ts'
import { atStatement } from '../harness/at-statement.ts'
import { AT_ONCE_MS, type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import type { FaultProxy } from '../harness/fault-proxy.ts'
import { crowd, during, perform, planWorkload, SOON, underLoad } from '../harness/workload.ts'
import { CANCELLING, type World } from '../harness/world.ts'

/** An idle worker is woken by the first order that is placed, to wait for its deadline; it dies before that. */
async function killTheWoken(world: World): Promise<void> {
  const woken = world.workers
    .filter((worker) => !world.ended.has(worker))
    .map(async (worker, _index, { length }) => {
      const way = ways.get(worker)
      if (!way || length !== 2) throw new Error('expected two workers with proxies of their own')
      await way.intercept({ matches: (_, { marks }) => marks.has('fetch'), action: 'notice' }).hit
      return worker
    })
  await crowd(world, { orders: 1, inMs: 2_500 })
  await world.kill(await Promise.race(woken))
}
const ways = new WeakMap<DaemonProcess, FaultProxy>()

/** Waits until each worker that is left has begun to wait for work. */
async function untilAllWait(world: World): Promise<void> {
  const since = Date.now()
  const living = world.workers.filter((worker) => !world.ended.has(worker))
  await eventually('all workers wait for work', () =>
    living.every((worker) => (ways.get(worker)?.countSince('blocking', since) ?? 0) > 0),
  )
}

async function startWithOwnWay(world: World): Promise<void> {
  const way = await world.ownWay()
  for (const worker of await world.startWorkers(1, way.env)) ways.set(worker, way.toRedis)
}

export const workerCases: FaultCase[] = [
  {
    name: 'no fault at all',
    injected: 'nothing; the workload alone',
    promise: 'each unpaid order within 1 s of its deadline',
    boundMs: AT_ONCE_MS,
    seconds: 10,
    isAlone: true,
    world: { hasStock: true },
    run: (world) => during(world, SOON, async () => {}),
  },
  {
    name: 'worker killed before the cancelling transaction',
    injected: 'SIGKILL while the proxy holds the statement back from PostgreSQL',
    promise: 'its orders within 30 s, by another worker',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 1, env: { SWEEP_EVERY: '5m' } },
    run: (world) =>
      atStatement(world, { statement: CANCELLING, action: 'hold', fault: (victim) => world.kill(victim) }),
  },
  {
    name: 'worker killed in the cancelling transaction',
    injected: 'SIGKILL while the proxy holds back the COMMIT, after stock and outbox were written',
    promise: 'the transaction is undone; its orders within 30 s, by another worker',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 1, hasStock: true },
    run: (world) => atStatement(world, { statement: /COMMIT/, action: 'hold', fault: (victim) => world.kill(victim) }),
  },
  {
    name: 'worker killed after the cancelling transaction',
    injected: 'SIGKILL while the proxy holds back the answer to the COMMIT',
    promise: 'nothing twice; the rest within 30 s, by another worker',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 1, hasStock: true },
    run: (world) =>
      atStatement(world, { statement: /COMMIT/, action: 'hold-reply', fault: (victim) => world.kill(victim) }),
  },
  {
    name: 'worker that holds the wake-up killed',
    injected: 'SIGKILL of the idle worker that the first order has woken, before the deadline; three times',
    promise: 'within 2 s of the deadline, by the other worker',
    boundMs: 2_000,
    seconds: 25,
    isAlone: true,
    world: { workers: 0 },
    async run(world) {
      const startedAt = Date.now()
      await startWithOwnWay(world)
      for (let round = 0; round < 3; round++) {
        await startWithOwnWay(world)
        await untilAllWait(world)
        await killTheWoken(world)
        await eventually('the order is cancelled', async () => (await world.shop.countWaiting()) === 0)
      }
      return startedAt
    },
  },
  {
    name: 'worker stopped for 40 s in the middle of a batch',
    injected: 'SIGSTOP while the proxy holds the statement; SIGCONT after 40 s, then the old statement arrives',
    promise: 'its orders within 30 s, by another worker; nothing twice when it wakes up',
    boundMs: KNOWN_MS,
    seconds: 60,
    world: { workers: 1, hasStock: true },
    run: (world) =>
      atStatement(world, {
        statement: CANCELLING,
        action: 'hold',
        fault: async (victim, proxy) => {
          victim.signal('SIGSTOP')
          await sleep(40_000)
          victim.signal('SIGCONT')
          proxy.heal()
          await perform(world, planWorkload(world.random, SOON))
        },
      }),
  },
  {
    name: 'event loop blocked for longer than the lock',
    injected: "a worker's only thread waits for 25 s (the lock lasts 15 s) while its statement is under way",
    promise: 'its orders within 30 s, by another worker; nothing twice when it wakes up',
    boundMs: KNOWN_MS,
    seconds: 45,
    world: { workers: 1 },
    run: (world) =>
      atStatement(world, {
        statement: CANCELLING,
        action: 'hold',
        env: { ...world.skewedClock().env, FAULT_BLOCK_MS: '25000' },
        fault: async (victim, proxy) => {
          victim.signal('SIGUSR2')
          await sleep(26_000)
          proxy.heal()
        },
      }),
  },
  {
    name: 'all workers down for a while',
    injected: 'SIGKILL of both workers under load, two new ones after 15 s',
    promise: 'everything within 30 s of their return',
    boundMs: KNOWN_MS,
    seconds: 40,
    run: (world) =>
      during(world, { ...SOON, overMs: 12_000 }, async () => {
        await underLoad(world)
        await Promise.all(world.workers.map((worker) => world.kill(worker)))
        await sleep(15_000)
        const backAt = Date.now()
        await world.startWorkers(2)
        return backAt
      }),
  },
]
