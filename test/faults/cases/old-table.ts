import { setTimeout as sleep } from 'node:timers/promises'
import { runCli } from '../../helpers/daemon.ts'
import { eventually } from '../../helpers/eventually.ts'
import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import { perform, planWorkload, SOON } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

const OLD_ORDERS = 3_000
const UNREADABLE_ORDERS = 5
const TWO_YEARS_MS = 730 * 86_400_000
const SWEEP_EVERY_MS = 2_000

export const oldTableCases: FaultCase[] = [
  {
    name: 'first start on an old table',
    injected: `${OLD_ORDERS} unpaid rows of two years ago, and ${UNREADABLE_ORDERS} of year 1 that have a job, from before the first worker`,
    promise:
      'only `sweep --backlog` cancels a row of two years ago, each once; nothing cancels one of year 1; all others within 30 s',
    boundMs: KNOWN_MS,
    seconds: 40,
    failedJobs: UNREADABLE_ORDERS,
    world: { workers: 0, env: { SWEEP_EVERY: `${SWEEP_EVERY_MS}ms` } },
    async run(world) {
      const { shop } = world
      const now = Date.now()
      const old = await shop.place(Array.from({ length: OLD_ORDERS }, (_, n) => now - TWO_YEARS_MS + n))
      const unreadable = await shop.place(new Array(UNREADABLE_ORDERS).fill(Date.parse('0001-01-01')))
      // A check that somebody adds on purpose counts, but not for these.
      for (const orderId of unreadable) await world.rawQueue.add('check-payment', { orderId, deadline: now })
      await world.startWorkers(2)
      await perform(world, planWorkload(world.random, SOON))
      await eventually('the others are settled', async () => {
        const unpaid = await shop.unpaid()
        return unpaid.length <= old.length + unreadable.length
      })
      await sleep(2 * SWEEP_EVERY_MS) // every worker has swept since then

      await sweepBacklog(world, '--dry-run')
      await expectUnpaid(world, [...old, ...unreadable])
      await sweepBacklog(world)
      await expectUnpaid(world, unreadable)
      const correctedAt = Date.now()
      for (const id of unreadable) await shop.extend(id, correctedAt)
      return correctedAt
    },
  },
]

async function sweepBacklog(world: World, ...options: string[]): Promise<void> {
  const { code, stdout, stderr } = await runCli(['sweep', '--backlog', ...options], { env: world.workerEnv() })
  world.expect(code === 0, `sweep --backlog ${options}: exit code ${code}: ${stdout}${stderr}`)
}

async function expectUnpaid(world: World, expected: readonly string[]): Promise<void> {
  const unpaid = new Set(await world.shop.unpaid())
  const missing = expected.filter((id) => !unpaid.has(id)).length
  world.expect(missing === 0, `backlog: ${missing} of ${expected.length} orders were cancelled though nobody said so`)
  const surplus = unpaid.size - (expected.length - missing)
  world.expect(surplus === 0, `backlog: ${surplus} orders are still unpaid`)
}
