import { expect, test } from '@jest/globals'
import { WITHOUT_REDIS_MS } from '../../src/order/promise.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { openShop } from '../helpers/open-shop.ts'
import { startRedis } from '../helpers/processes.ts'

const EVERY_MS = 50
const ORDERS = 40
/** Of each process: one after the other, each with its pause. */
const MOST_SWEEPS_PER_SECOND = 5

/** Two daemons on one table, whose Redis of their own can be stopped. */
async function startTwo() {
  const { table, env } = await openShop()
  const redis = await startRedis()
  closing.push(() => redis.stop())
  const start = async () => {
    const daemon = await DaemonProcess.start({ ...env, REDIS_URL: redis.url, SWEEP_EVERY: '5m' })
    closing.push(() => daemon.stop('SIGKILL'))
    return daemon
  }
  return { table, redis, daemons: await Promise.all([start(), start()]) }
}

async function countSweeps(daemon: DaemonProcess): Promise<number> {
  const metrics = await (await fetch(`${await daemon.url()}/metrics`)).text()
  const counts = [...metrics.matchAll(/^order_expiry_sweeps_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count))
  return counts.reduce((sum, count) => sum + count, 0)
}

test('while Redis is away, each order is cancelled at its deadline, once, whenever it was placed; the table is not asked all the time', async () => {
  const { table, redis, daemons } = await startTwo()
  const latenesses = async () => {
    const { rows } = await table.pool.query(
      `SELECT id::int, extract(epoch FROM cancelled_at - payment_deadline) * 1000 AS late FROM orders WHERE status = 'cancelled' ORDER BY id`,
    )
    return rows.map(({ late }) => Number(late))
  }
  await redis.stop() // before the orders are there: the first sweep of a daemon finds them otherwise
  const startedAt = Date.now()
  const first = startedAt + 1_000
  await table.insert(Array.from({ length: ORDERS }, (_, n) => ({ id: `${n + 1}`, deadline: first + n * EVERY_MS })))
  const before = await Promise.all(daemons.map(countSweeps))
  await eventually('all are cancelled', async () => (await latenesses()).length === ORDERS)

  // The sweeps now wait for this one; those that come later are due sooner.
  await table.insert([{ id: '900', deadline: Date.now() + 3_600_000 }])
  const placed = ['901', '902', '903']
  for (const [n, id] of placed.entries()) {
    await table.insert([{ id, deadline: Date.now() + 150 }])
    await eventually(`${id} is cancelled`, async () => (await latenesses()).length === ORDERS + n + 1)
  }

  const late = await latenesses()
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...late)).toBeLessThan(WITHOUT_REDIS_MS)
  const outbox = (await table.outbox()).map(({ order_id }) => order_id)
  expect([outbox.length, new Set(outbox).size]).toEqual([ORDERS + placed.length, ORDERS + placed.length])
  const seconds = (Date.now() - startedAt) / 1_000
  for (const [n, daemon] of daemons.entries()) {
    const sweeps = (await countSweeps(daemon)) - (before[n] as number)
    expect(sweeps / seconds).toBeLessThan(MOST_SWEEPS_PER_SECOND)
    expect(daemon.logs.filter(({ msg }) => msg === 'sweep found orders that had been missed')).toEqual([])
  }
})
