import { expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { schemaProblems } from '../helpers/event-schema.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { Receiver } from '../helpers/receiver.ts'

const SENT = {
  specversion: '1.0',
  id: 'e-1',
  source: '/order-expiry/check-payment',
  type: 'order.cancelled',
  subject: 'a',
  time: '2026-11-30T12:00:00.004Z',
  datacontenttype: 'application/json',
  data: { orderId: 'a', at: '2026-11-30T12:00:00.004Z', deadline: '2026-11-30T12:00:00.000Z' },
}

async function start(env: Record<string, string>): Promise<DaemonProcess> {
  const daemon = await DaemonProcess.start(env)
  closing.push(() => daemon.stop())
  return daemon
}

test.each(['redis', 'postgres'] as const)('a cancelled order is told to the receiver: %s', async (kind) => {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const receiver = await Receiver.start()
  const env: Record<string, string> = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...receiver.env }
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, ...(kind === 'redis' && { orders: 'redis' }) })
  closing.push(() => shop.close())
  const deadline = Date.now() + 1_000
  let tableName: string | undefined
  if (kind === 'postgres') {
    const table = await OrdersTable.create({ idType: 'text' })
    closing.push(() => table.drop())
    await table.migrate()
    await table.insert([{ id: 'a-1', deadline }])
    Object.assign(env, table.env)
    tableName = `${table.schema}.orders`
  }
  const daemon = await start(env)
  await shop.schedule({ orderId: 'a-1', deadline })
  const [event] = await receiver.got(1)
  expect(event).toMatchObject({
    type: 'order.cancelled',
    subject: 'a-1',
    source: `/order-expiry/${raw.name}`,
    data: { orderId: 'a-1', deadline: new Date(deadline).toISOString(), statusBefore: 'pending', decidedBy: 'check' },
  })
  expect(event?.data.table).toBe(tableName)
  expect(await schemaProblems(event as { type: string })).toBe('')
  const scrape = async () => (await fetch(`${await daemon.url()}/metrics`)).text()
  await eventually('it is counted', async () =>
    (await scrape()).includes('order_expiry_events_delivered_total{sink="webhook",type="order.cancelled"} 1'),
  )
  await daemon.stop()
  expect(receiver.events.length).toBe(1)
  expect(receiver.refused).toEqual([])
})

test('settings that could send events astray are refused, without a word of the secret or the path', async () => {
  const check = async (env: Record<string, string>) => (await runCli(['check'], { env })).stderr
  const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
  const url = 'https://hooks.example.com/secret-path'
  expect(await check({ WEBHOOK_URL: url, WEBHOOK_SECRET: 'whsec_short' })).toContain('WEBHOOK_SECRET: expected whsec_')
  expect(await check({ WEBHOOK_URL: url })).toContain('WEBHOOK_SECRET: expected with WEBHOOK_URL')
  for (const [given, problem] of [
    ['http://hooks.example.com/secret-path', 'expected https://'],
    ['https://169.254.169.254/secret-path', 'not within a private network'],
    ['https://[::1]:8443/secret-path', 'not within a private network'],
    ['https://u:secret-path@hooks.example.com', 'without a user'],
    ['ftp://hooks.example.com/secret-path', 'expected https://host'],
  ] as const) {
    const told = await check({ WEBHOOK_URL: given, WEBHOOK_SECRET: secret })
    expect(told).toContain('WEBHOOK_URL')
    expect(told).toContain(problem)
    expect(told).not.toContain('secret-path')
    expect(told).not.toContain(secret)
  }
  expect(await check({ WEBHOOK_URL: url, WEBHOOK_SECRET: `${secret}, ${secret}` })).not.toContain('WEBHOOK')
})

test.each([
  ['another type', { type: 'order.kept' }, 'must be equal to constant'],
  ['no id', { id: undefined }, "must have required property 'id'"],
  ['a time that is none', { time: 'soon' }, 'must match format'],
  ['a field that is not in the schema', { data: { ...SENT.data, more: 1 } }, 'must NOT have additional properties'],
  ['a deadline in milliseconds', { data: { ...SENT.data, deadline: 1 } }, 'must be string'],
  ['somebody else who decides', { data: { ...SENT.data, decidedBy: 'cron' } }, 'must be equal to one of'],
])('the schema refuses an event with %s', async (_, change, problem) => {
  expect(await schemaProblems(SENT)).toBe('')
  expect(await schemaProblems({ ...SENT, ...change }, SENT.type)).toContain(problem)
})
