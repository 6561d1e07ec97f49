import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { expect, test } from '@jest/globals'
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
  return { redis, table }
}

/**
 * Commands a second: those that clients send, and with those that their scripts call. Over a socket of our own: ioredis
 * takes a line that comes in one piece with the reply to MONITOR for an error.
 */
async function countCommands({ url }: { url: string }) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  closing.push(() => socket.destroy())
  const lines = createInterface(socket)
  socket.write('MONITOR\r\n')
  await once(lines, 'line')
  const counts = { sent: 0, all: 0 }
  const begunAt = performance.now()
  lines.on('line', (line) => {
    counts.all++
    if (!/^\+[\d.]+ \[\d+ lua\]/.test(line)) counts.sent++
  })
  await eventually('a minute has passed', () => performance.now() - begunAt > WATCHED_MS, 2 * WATCHED_MS)
  socket.destroy()
  const seconds = (performance.now() - begunAt) / 1_000
  return { sent: counts.sent / seconds, all: counts.all / seconds }
}

test('an idle daemon sends less than half of what it once did, as docs/redis.md says, and is on time', async () => {
  const [usual, sparing] = await Promise.all([startIdle({}), startIdle({ IDLE_POLL_EVERY: '20s' })])
  const [often, seldom] = await Promise.all([countCommands(usual.redis), countCommands(sparing.redis)])
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
