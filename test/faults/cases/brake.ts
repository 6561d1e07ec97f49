import { setTimeout as sleep } from 'node:timers/promises'
import { runCli } from '../../helpers/daemon.ts'
import { type FaultCase, KNOWN_MS, UNKNOWN_MS } from '../harness/fault-case.ts'
import { crowd, perform, planWorkload, untilLookedAt } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

const LIMIT = 20
const FEW = { orders: 60, overMs: 3_000, toPayMs: [500, 2_000], fate: { unpaid: 1 } } as const
/** An order that the brake has held is looked at again within 30 s. */
const RELEASED_MS = KNOWN_MS + 2_000

async function release(world: World): Promise<void> {
  const { code, stderr } = await runCli(['brake', 'release'], { env: world.workerEnv() })
  world.expect(code === 0, `brake release: exit code ${code}: ${stderr}`)
}

/** When orders were cancelled, in their order, as epoch milliseconds. */
async function cancellations(world: World): Promise<number[]> {
  const history = await world.shop.history()
  return history.filter(({ what }) => what === 'cancelled').map(({ at }) => at)
}

/** The settings of workers whose user of Redis may use BullMQ's keys and not ours. */
async function blindWorkers(world: World): Promise<Record<string, string>> {
  await world.admin.call('ACL', 'SETUSER', 'blind', 'reset', 'on', '>secret', '~bull:*', '&*', '+@all')
  const url = new URL(world.workerEnv().REDIS_URL as string)
  return { REDIS_URL: `redis://blind:secret@${url.host}` }
}

export const brakeCases: FaultCase[] = [
  {
    name: 'brake engaged where the workers may not read it',
    injected:
      "the brake is engaged; the workers' user of Redis may use BullMQ's keys and not the brake's; granted after 10 s, and released",
    promise: 'no cancellation, /readyz is red until they may read it; after the release all within 32 s',
    boundMs: RELEASED_MS,
    seconds: 60,
    refusal: 'NOPERM',
    world: { workers: 0 },
    async run(world) {
      const { code, stderr } = await runCli(['brake', 'engage'], { env: world.workerEnv() })
      world.expect(code === 0, `brake engage: exit code ${code}: ${stderr}`)
      await world.startWorkers(2, await blindWorkers(world))
      await perform(world, planWorkload(world.random, FEW))
      await untilLookedAt(world)
      await sleep(10_000)
      await world.expectAliveAndNotReady()
      await world.admin.call('ACL', 'SETUSER', 'blind', '~{bull:check-payment}:*')
      await sleep(10_000) // they read the state every few seconds
      world.expect((await cancellations(world)).length === 0, 'brake: cancelled though engaged')
      await release(world)
      return Date.now()
    },
  },
  {
    name: 'payment feed stops: cancellations per minute',
    injected: `no order is paid any more, 100 fall due, BRAKE_MAX_PER_MINUTE=${LIMIT}; released by hand after 65 s`,
    promise: `at most ${LIMIT} cancellations in any minute by two workers; after the release all within 32 s`,
    boundMs: RELEASED_MS,
    lateMs: 'none', // nobody pays, so the brake engages again
    seconds: 115,
    world: { hasStock: true, env: { BRAKE_MAX_PER_MINUTE: `${LIMIT}` } },
    async run(world) {
      await perform(world, planWorkload(world.random, { ...FEW, orders: 70 }))
      await crowd(world, { orders: 30, inMs: 1_000 })
      await sleep(65_000)
      const times = await cancellations(world)
      const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 60_000).length))
      world.expect(most <= LIMIT, `brake: ${most} cancellations within a minute`)
      world.expect(times.length > 0, 'brake: expected some cancellations before it engages')
      await release(world)
      return Date.now()
    },
  },
  {
    name: 'payment feed stops: silence',
    injected:
      'payments come for 6 s and then no more, while orders fall due; BRAKE_PAYMENT_SILENCE=5s; released by hand',
    promise: 'no cancellation from 7 s after the last payment on; after the release all within 32 s',
    boundMs: RELEASED_MS,
    lateMs: 'none', // nobody pays, so the brake engages again
    seconds: 60,
    world: { env: { BRAKE_PAYMENT_SILENCE: '5s' } },
    async run(world) {
      const { random } = world
      await perform(world, [
        ...planWorkload(random, { orders: 80, overMs: 5_000, toPayMs: [500, 1_500], fate: { paid: 1, unpaid: 2 } }),
        ...planWorkload(random, { ...FEW, overMs: 16_000 }),
      ])
      await untilLookedAt(world)
      const history = await world.shop.history()
      const lastPayment = Math.max(...history.filter(({ what }) => what === 'paid').map(({ at }) => at))
      // The newest payment is read again after a twentieth of that time, and a batch takes a moment.
      const wrongly = (await cancellations(world)).filter((at) => at > lastPayment + 7_000).length
      world.expect(wrongly === 0, `brake: ${wrongly} cancellations later than 7 s after the last payment`)
      world.expect((await world.shop.countOverdue()) > 0, 'brake: expected it to hold orders back')
      await release(world)
      return Date.now()
    },
  },
  {
    name: 'dry run, then in earnest',
    injected: 'two workers with DRY_RUN=true while orders fall due, then two without',
    promise:
      'nothing is cancelled in the dry run; everything within 90 s of its end, when the postponed checks come again',
    boundMs: UNKNOWN_MS,
    seconds: 90,
    world: { hasStock: true, env: { DRY_RUN: 'true' } },
    async run(world) {
      await perform(world, planWorkload(world.random, FEW))
      await untilLookedAt(world)
      const cancelled = (await cancellations(world)).length
      world.expect(cancelled === 0, `dry run: ${cancelled} orders were cancelled`)
      await Promise.all(world.workers.map((worker) => world.kill(worker)))
      const backAt = Date.now()
      await world.startWorkers(2, { DRY_RUN: 'false' })
      return backAt
    },
  },
]
