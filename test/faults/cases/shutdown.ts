import { setTimeout as sleep } from 'node:timers/promises'
import type { DaemonProcess } from '../../helpers/daemon.ts'
import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import { crowd, during, SOON, STEADY, underLoad } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

/** SHUTDOWN_TIMEOUT, and what a process may take to end after it. */
const IN_TIME_MS = 26_000
/** What a process may take to end if it has nothing to wait for. */
const AT_ONCE_MS = 10_000

async function terminate(world: World, worker: DaemonProcess, withinMs = IN_TIME_MS): Promise<void> {
  const from = Date.now()
  world.ended.add(worker)
  const code = await worker.stop('SIGTERM')
  const tookMs = Date.now() - from
  world.expect(code === 0, `I8: exit code ${code} after SIGTERM: ${worker.stderr}`)
  world.expect(tookMs <= withinMs, `I8: it took ${tookMs} ms to end after SIGTERM`)
}

export const shutdownCases: FaultCase[] = [
  {
    name: 'SIGTERM while idle',
    injected: 'SIGTERM of a worker that waits for work; another one goes on',
    promise: 'it ends with code 0 at once; its orders within 30 s',
    boundMs: KNOWN_MS,
    seconds: 15,
    run: (world) =>
      during(world, SOON, async () => {
        const from = Date.now()
        await terminate(world, world.worker(0))
        world.expect(Date.now() - from < 5_000, `I8: it took ${Date.now() - from} ms to end while idle`)
      }),
  },
  {
    name: 'SIGTERM while busy',
    injected: 'SIGTERM of both workers while 3,000 orders are due; a new one afterwards',
    promise: 'they end with code 0 within 26 s and leave no job behind as active; the rest within 30 s',
    boundMs: KNOWN_MS,
    seconds: 30,
    world: { hasStock: true },
    async run(world) {
      const deadline = await crowd(world, { orders: 3_000, inMs: 4_000 })
      await sleep(deadline + 150 - Date.now())
      await Promise.all(world.workers.map((worker) => terminate(world, worker)))
      const active = await world.countJobs('active')
      world.expect(active === 0, `I8: ${active} jobs are left active`)
      const backAt = Date.now()
      await world.startWorkers(1)
      return backAt
    },
  },
  {
    name: 'SIGTERM while Redis is down',
    injected: 'SIGTERM of a worker 3 s after its connections to Redis are cut; healed later for another one',
    promise: 'it ends with code 0 within 10 s; orders within 30 s of the return of Redis',
    boundMs: KNOWN_MS,
    seconds: 60,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world)
        world.toRedis.cut()
        await sleep(3_000)
        await terminate(world, world.worker(0), AT_ONCE_MS)
        world.heal()
      }),
  },
  {
    name: 'SIGTERM while PostgreSQL is down',
    injected: 'SIGTERM of a worker while its connections to PostgreSQL are black-holed; healed later for another one',
    promise: 'it ends with code 0 within 26 s; orders within 30 s of the return of PostgreSQL',
    boundMs: KNOWN_MS,
    seconds: 70,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world)
        world.toPostgres.blackHole()
        await sleep(1_000) // away for so long when it is told to end
        await terminate(world, world.worker(0))
        world.heal()
      }),
  },
  {
    name: 'Redis and PostgreSQL absent at start',
    injected: 'two workers are started while the proxies refuse connections to both; healed after 10 s',
    promise: 'they wait, and settle everything within 30 s of the return',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 0 },
    run: (world) =>
      during(world, STEADY, async () => {
        world.toRedis.cut()
        world.toPostgres.cut()
        const workers = [world.launchWorker(), world.launchWorker()]
        await sleep(10_000)
        for (const { hasExited } of workers) world.expect(!hasExited, 'a worker has ended instead of waiting')
        world.heal()
      }),
  },
]
