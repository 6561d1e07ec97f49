import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { startRedis } from '../helpers/processes.ts'

const WATCHED_MS = 60_000

/** A daemon that has nothing to do, and a Redis that nobody else uses. */
async function startIdle(settings: Record<string, string>) {
  const [redis, table] = await Promise.all([startRedis(), OrdersTable.create()])
  closing.push(
    () => redis.stop(),
    () => table.drop(),
  )
  await table.migrate()
  const daemon = await DaemonProcess.start({ ...table.env, ...settings, REDIS_URL: redis.url })
  closing.push(() => daemon.stop())
  const admin = new Redis(redis.url)
  closing.push(async () => admin.disconnect())
  return { redis, table, admin }
}

/** Commands a second: those that clients send, and with those that their scripts call. */
async function countCommands(admin: Redis) {
  const monitor = await admin.monitor()
  closing.push(async () => monitor.disconnect())
  const counts = { sent: 0, all: 0 }
  const begunAt = performance.now()
  monitor.on('monitor', (_time, _command, source) => {
    counts.all++
    if (source !== 'lua') counts.sent++
  })
  await eventually('a minute has passed', () => performance.now() - begunAt > WATCHED_MS, 2 * WATCHED_MS)
  monitor.disconnect()
  const seconds = (performance.now() - begunAt) / 1_000
  return { sent: counts.sent / seconds, all: counts.all / seconds }
}

test('an idle daemon sends less than half of what it once did, as docs/redis.md says, and is on time', async () => {
  const [usual, sparing] = await Promise.all([startIdle({}), startIdle({ IDLE_POLL_EVERY: '20s' })])
  const [often, seldom] = await Promise.all([countCommands(usual.admin), countCommands(sparing.admin)])
  process.stdout.write(`commands a second: ${JSON.stringify({ often, seldom })}\n`)
  expect(often.sent).toBeLessThan(1.8) // it was 3.7
  expect(seldom.sent).toBeLessThan(0.9)
  for (const { redis, table } of [usual, sparing]) {
    const client = new OrderExpiry({ redis: redis.url })
    closing.push(() => client.close())
    const deadline = Date.now() + 1_500
    await table.insert([{ id: '1', deadline }])
    await client.schedule({ orderId: '1', deadline })
    const { decidedAt } = await eventually('it is decided', async () => (await client.find('1'))?.check?.finished)
    expect(Date.parse(decidedAt) - deadline).toBeLessThan(500)
  }
}, 180_000)
