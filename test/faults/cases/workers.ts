import { AT_ONCE_MS, type FaultCase, KNOWN_MS } from '../fault-case.ts'
import type { Rule } from '../fault-proxy.ts'
import { crowd, perform, planWorkload } from '../workload.ts'
import type { World } from '../world.ts'

const SOON = { orders: 150, overMs: 3_000, toPayMs: [1_500, 4_000] } as const

/** Kills a worker at the moment at which the proxy has caught its statement for a crowd of orders; another one goes on. */
async function killAt(world: World, rule: { statement: RegExp; action: Rule['action'] }): Promise<number> {
  const way = await world.ownWay()
  const [victim] = await world.startWorkers(1, way.env)
  const { hit } = way.toPostgres.intercept({
    matches: (request) => rule.statement.test(request),
    action: rule.action,
  })
  await crowd(world, { orders: 60, inMs: 1_200 })
  const work = perform(world, planWorkload(world.random, SOON))
  await hit
  if (victim) await world.kill(victim)
  const killedAt = Date.now()
  await work
  return killedAt
}

export const workerCases: FaultCase[] = [
  {
    name: 'no fault at all',
    injected: 'nothing; the workload alone',
    promise: 'each unpaid order within 1 s of its deadline',
    boundMs: AT_ONCE_MS,
    seconds: 10,
    world: { hasStock: true },
    async run(world) {
      const startedAt = Date.now()
      await perform(world, planWorkload(world.random, SOON))
      return startedAt
    },
  },
  {
    name: 'worker killed before the cancelling transaction',
    injected: 'SIGKILL while the proxy holds the statement back from PostgreSQL',
    promise: 'its orders within 30 s, by another worker',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 1 },
    run: (world) => killAt(world, { statement: /SKIP LOCKED/, action: 'hold' }),
  },
  {
    name: 'worker killed in the cancelling transaction',
    injected: 'SIGKILL while the proxy holds back the COMMIT, after stock and outbox were written',
    promise: 'all of the transaction is undone, its orders are cancelled within 30 s by another worker',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 1, hasStock: true },
    run: (world) => killAt(world, { statement: /COMMIT/, action: 'hold' }),
  },
  {
    name: 'worker killed after the cancelling transaction',
    injected: 'SIGKILL while the proxy holds back the answer to the COMMIT',
    promise: 'nothing is cancelled twice, the rest within 30 s by another worker',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 1, hasStock: true },
    run: (world) => killAt(world, { statement: /COMMIT/, action: 'hold-reply' }),
  },
]
