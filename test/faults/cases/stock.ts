import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../helpers/eventually.ts'
import { byAdmin, configure, repeating } from '../harness/administrator.ts'
import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import { during, placeCrowd, SOON } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

/**
 * Does something while a statement of a worker has cancelled orders and waits for a sku that the shop has locked by then.
 * The connections are taken beforehand, as buyers who wait for the sku soon have all the others.
 */
async function whileWorkerWaits(
  world: World,
  { by, work }: { by: number; work: () => Promise<unknown> },
): Promise<void> {
  const { pool } = world.postgresShop
  const [holder, watcher] = await Promise.all([pool.connect(), pool.connect()])
  try {
    await holder.query(`BEGIN; SELECT FROM stock WHERE sku = 'table' FOR UPDATE`)
    world.expect(Date.now() < by, 'the sku was locked too late')
    await eventually('a worker waits for stock', async () => {
      const { rows } = await watcher.query(
        `SELECT FROM pg_stat_activity JOIN pg_locks USING (pid)
         WHERE application_name = 'order-expiry' AND wait_event_type = 'Lock' AND relation = 'stock'::regclass`,
      )
      return rows.length > 0
    })
    await work()
    await holder.query('COMMIT')
  } finally {
    for (const client of [holder, watcher]) client.release(true)
  }
}

/** Buyers who place a few orders over and over, and pay one of them. @returns the refusals that they got */
async function buyUntil(world: World, endsAt: number): Promise<string[]> {
  const refusals: string[] = []
  const buy = async () => {
    const { ids } = await placeCrowd(world, { orders: 3, inMs: 700 })
    await world.postgresShop.pay(ids[0] as string, 0)
  }
  const noting = () => buy().catch(({ code, message }) => void refusals.push(code ?? message))
  const buyers = Array.from({ length: 6 }, () => repeating(noting, () => sleep(endsAt - Date.now())))
  await Promise.all(buyers)
  return refusals
}

/** What orders have taken from a shop, and must come back once. */
export const stockCases: FaultCase[] = [
  {
    name: 'worker killed while it waits for stock',
    injected: 'SIGKILL while its statement has cancelled orders and waits for a sku that the shop has locked',
    promise: 'all of it is undone; its orders within 30 s, by another worker',
    boundMs: KNOWN_MS,
    seconds: 35,
    world: { workers: 0, hasStock: true },
    run: (world) =>
      during(world, SOON, async () => {
        const [victim] = await world.startWorkers(1)
        const { deadline } = await placeCrowd(world, { orders: 60, inMs: 2_500 })
        await whileWorkerWaits(world, { by: deadline, work: async () => victim && world.kill(victim) })
        await world.startWorkers(1)
      }),
  },
  {
    name: 'orders placed, paid and cancelled from the same stock',
    injected:
      'six buyers at a time place and pay orders of the skus, coupons and customers of 300 that fall due; deadlock_timeout is 20 ms',
    promise: 'no deadlock; within 5 s',
    boundMs: 5_000,
    seconds: 25,
    world: { ownPostgres: true, hasStock: true },
    async run(world) {
      const startedAt = Date.now()
      await byAdmin(world, async (admin) => {
        await configure(admin, `deadlock_timeout = '20ms'`)
        const { deadline } = await placeCrowd(world, { orders: 300, inMs: 2_500 })
        const refusals = await buyUntil(world, deadline + 5_000)
        world.expect(refusals.length === 0, `I5: buyers were refused: ${[...new Set(refusals)]}`)
        world.expect(!world.hasMet('40P01'), 'I5: a batch met a deadlock')
      })
      return startedAt
    },
  },
]
