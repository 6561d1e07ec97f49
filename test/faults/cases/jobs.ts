import { setTimeout as sleep } from 'node:timers/promises'
import type { JobsOptions } from 'bullmq'
import { AT_ONCE_MS, type FaultCase, KNOWN_MS, UNKNOWN_MS } from '../harness/fault-case.ts'
import { crowd, during, SOON, STEADY, underLoad } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

/** Through the suite's proxies, and with a history that triggers write, each order costs a multiple. */
const CROWD_MS = 2 * KNOWN_MS
const YEAR_MS = 366 * 86_400_000

/** A raw producer that gets the delay of its jobs wrong; the orders' rows are right. */
function wrongDelay(options: { name: string; delay: unknown; promise: string; boundMs: number }): FaultCase {
  const { name, delay, promise, boundMs } = options
  return {
    name,
    injected: `a raw BullMQ producer adds 50 jobs with delay ${JSON.stringify(delay)}`,
    promise,
    boundMs,
    seconds: boundMs > KNOWN_MS ? 75 : 10,
    async run(world) {
      const deadline = Date.now() + 4_000
      const ids = await world.shop.place(new Array(50).fill(deadline))
      for (const orderId of ids) {
        const jobOptions = { jobId: `raw-${orderId}`, delay } as JobsOptions
        await world.rawQueue.add('check-payment', { orderId, deadline }, jobOptions)
        world.known.add(orderId)
      }
      return deadline
    },
  }
}

/** What somebody writes on a job that BullMQ can then not read. */
const UNREADABLE = [{ data: '{' }, { opts: 'x' }, { opts: 'null' }, { parent: 'x', stc: 'x' }, { ats: 'x', atm: 'x' }]

/** Jobs are lost while the sweepers of two workers, every second, and the workers themselves go for the same orders. */
async function loseJobs(world: World): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await sleep(2_000)
    await world.admin.flushall()
    world.known.clear()
  }
}

export const jobCases: FaultCase[] = [
  wrongDelay({
    name: 'delay given as a string',
    delay: '3600000',
    promise: 'not before the deadline, and within 30 s of it',
    boundMs: KNOWN_MS,
  }),
  wrongDelay({
    name: 'negative delay',
    delay: -3_600_000,
    promise: 'not before the deadline, and within 30 s of it',
    boundMs: KNOWN_MS,
  }),
  wrongDelay({
    name: 'delay of ten years',
    delay: 10 * YEAR_MS,
    promise: 'within 90 s of the deadline',
    boundMs: UNKNOWN_MS,
  }),
  {
    name: 'duplicate and reordered enqueues',
    injected: 'two or more jobs for each order, by the library and by BullMQ, some after later orders',
    promise: 'nothing twice, within 30 s of the deadline',
    boundMs: KNOWN_MS,
    seconds: 15,
    world: { hasStock: true },
    run: (world) => during(world, { ...STEADY, overMs: 4_000, enqueue: { twice: 2, late: 1 } }, async () => {}),
  },
  {
    name: 'orders of which nobody tells Redis',
    injected: 'rows in the orders table, and no call of the library or of BullMQ',
    promise: 'within 90 s of the deadline',
    boundMs: UNKNOWN_MS,
    seconds: 75,
    world: { hasStock: true },
    run: (world) => during(world, { ...SOON, enqueue: { never: 1 } }, async () => {}),
  },
  {
    name: '50,000 orders of one deadline',
    injected: '50,000 orders placed with the same deadline',
    promise: 'all within 60 s of it, and nothing twice',
    boundMs: CROWD_MS,
    seconds: 60,
    isAlone: true, // placing them keeps the whole suite busy
    async run(world) {
      const deadline = await crowd(world, { orders: 50_000, inMs: 30_000 })
      return Math.max(Date.now(), deadline) // on a slow machine some of them fall due before all are placed
    },
  },
  {
    name: 'queue drained',
    injected: 'queue.drain(true) under load, which removes the waiting and the delayed jobs',
    promise: 'within 90 s',
    boundMs: KNOWN_MS,
    seconds: 80,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world, 60)
        await world.rawQueue.drain(true)
        world.known.clear()
      }),
  },
  {
    name: 'queue paused, then resumed',
    injected: 'queue.pause() under load, queue.resume() after 10 s',
    promise: 'within 30 s of the resumption',
    boundMs: KNOWN_MS,
    seconds: 30,
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world)
        await world.rawQueue.pause()
        await sleep(10_000)
        await world.rawQueue.resume()
      }),
  },
  {
    name: 'jobs promoted',
    injected: 'every delayed job promoted by an operator, three times',
    promise: 'not before the deadline, and within 1 s of it',
    boundMs: AT_ONCE_MS,
    seconds: 12,
    isAlone: true,
    async run(world) {
      const startedAt = Date.now()
      await during(world, { ...SOON, toPayMs: [3_000, 5_000] }, async () => {
        for (let round = 0; round < 3; round++) {
          await sleep(1_000)
          for (const job of await world.rawQueue.getDelayed()) await job.promote().catch(() => {})
        }
      })
      return startedAt
    },
  },
  {
    name: 'jobs edited',
    injected: "an operator gives 30 jobs an earlier deadline, 30 a far later one, and 30 another order's id",
    promise: 'the row decides: not before its deadline, and within 90 s of it',
    boundMs: UNKNOWN_MS,
    seconds: 80,
    async run(world) {
      const deadline = await crowd(world, { orders: 150, inMs: 6_000 })
      const jobs = await world.rawQueue.getDelayed()
      await Promise.all(
        jobs.slice(0, 90).map(async (job, index) => {
          const orderId = job.data.orderId as string
          const edited = [
            { orderId, deadline: deadline - 5_000 },
            { orderId, deadline: deadline + YEAR_MS },
            { orderId: '1', deadline },
          ][index % 3]
          await job.updateData(edited)
          if (index % 3 === 0) await job.promote()
        }),
      )
      if (Date.now() > deadline) throw new Error('expected to be able to edit them in time')
      return deadline
    },
  },
  {
    name: 'jobs that BullMQ cannot read',
    injected: '30 of 150 jobs get data, options, a parent or counts that are no JSON, no object or no number',
    promise: 'each order within 90 s of its deadline; nothing stays active, and each fails once at most',
    boundMs: UNKNOWN_MS,
    seconds: 100,
    failedJobs: UNREADABLE.length * 6,
    async run(world) {
      const deadline = await crowd(world, { orders: 150, inMs: 6_000 })
      const jobs = await world.rawQueue.getDelayed()
      const bad = jobs.slice(0, UNREADABLE.length * 6)
      await Promise.all(
        bad.map((job, index) => {
          // Only the sweep finds its order: the check fails.
          world.known.delete(job.data.orderId as string)
          return world.admin.hset(`bull:check-payment:${job.id}`, UNREADABLE[index % UNREADABLE.length] as object)
        }),
      )
      if (Date.now() > deadline) throw new Error('expected to be able to edit them in time')
      return deadline
    },
  },
  {
    name: 'two sweepers beside two workers',
    injected: 'SWEEP_EVERY=1s, and FLUSHALL every 2 s for 10 s, so that both work on the same orders',
    promise: 'nothing twice, within 30 s of the last loss',
    boundMs: KNOWN_MS,
    seconds: 30,
    world: { hasStock: true, env: { SWEEP_EVERY: '1s' } },
    run: (world) => during(world, { ...STEADY, enqueue: { client: 2, raw: 1, never: 1 } }, () => loseJobs(world)),
  },
]
