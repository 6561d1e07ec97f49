import type { DaemonProcess } from '../../helpers/daemon.ts'
import type { FaultProxy, Rule } from './fault-proxy.ts'
import { crowd, perform, planWorkload, SOON, type WorkloadOptions } from './workload.ts'
import type { World } from './world.ts'

/**
 * Catches a worker's statement for a crowd of orders, and does something to the worker then; another one goes on.
 *
 * @returns when it was caught
 */
export async function atStatement(
  world: World,
  options: {
    statement: RegExp
    action: Rule['action']
    /** The way that the statement goes. Default `toPostgres`. */
    on?: 'toPostgres' | 'toRedis'
    env?: Record<string, string>
    /** What goes on meanwhile. Default {@link SOON}. */
    workload?: WorkloadOptions
    fault: (victim: DaemonProcess, proxy: FaultProxy) => Promise<unknown>
  },
): Promise<number> {
  const { statement, action, on = 'toPostgres', env, workload = SOON, fault } = options
  const way = await world.ownWay()
  const [victim] = await world.startWorkers(1, { ...way.env, ...env })
  const { hit } = way[on].intercept({ matches: (request) => statement.test(request), action })
  await crowd(world, { orders: 60, inMs: 1_200 })
  const work = perform(world, planWorkload(world.random, workload))
  await hit
  const caughtAt = Date.now()
  if (victim) await fault(victim, way[on])
  await work
  return caughtAt
}
