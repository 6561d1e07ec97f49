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

test.each(['redis', 'postgres'] as const)(
  'money that comes after the cancellation reaches the receiver, the metrics and explain: %s',
  async (kind) => {
    const raw = new RawQueue()
    closing.push(() => raw.close())
    const receiver = await Receiver.start()
    const env: Record<string, string> = {
      REDIS_URL: redisUrl(),
      QUEUE_NAME: raw.name,
      SWEEP_EVERY: '1s',
      ...receiver.env,
    }
    const shop = new OrderExpiry({
      redis: redisUrl(),
      queueName: raw.name,
      ...(kind === 'redis' && { orders: 'redis' }),
    })
    closing.push(() => shop.close())
    const deadline = Date.now() + 1_000
    let pay = async () => void (await shop.pay('a-1'))
    if (kind === 'postgres') {
      const table = await OrdersTable.create({ idType: 'text' })
      closing.push(() => table.drop())
      await table.migrate()
      await table.insert([{ id: 'a-1', deadline }])
      Object.assign(env, table.env)
      pay = async () => void (await table.pool.query('UPDATE orders SET paid_at = now()'))
    }
    const daemon = await DaemonProcess.start(env)
    closing.push(() => daemon.stop())
    await shop.schedule({ orderId: 'a-1', deadline })
    await receiver.got(1)
    await pay()
    const [, late] = await receiver.got(2)
    expect(late).toMatchObject({
      type: 'order.paid_late',
      subject: 'a-1',
      data: { orderId: 'a-1', deadline: new Date(deadline).toISOString(), cancelledAt: expect.stringMatching(/Z$/) },
    })
    expect(await schemaProblems(late as { type: string })).toBe('')
    const scrape = async () => (await fetch(`${await daemon.url()}/metrics`)).text()
    await eventually('it is counted', async () =>
      (await scrape()).includes('order_expiry_paid_late_total{reopened="false"} 1'),
    )
    const { stdout } = await runCli(['explain', 'a-1', '--json'], { env })
    expect(JSON.parse(stdout)).toMatchObject({
      outcome: 'cancelled',
      code: 'PAID_AFTER_CANCELLATION',
      next: expect.stringMatching(/^Give the money back/),
    })
    await daemon.stop()
    expect(receiver.events.map(({ type }) => type)).toEqual(['order.cancelled', 'order.paid_late'])
  },
)

test('a sweep by hand tells of late money, and a dry run of nothing', async () => {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const table = await OrdersTable.create({ idType: 'text' })
  closing.push(() => table.drop())
  await table.migrate()
  const env = { REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, ...table.env }
  await table.insert([{ id: 'a-1', status: 'cancelled', paidAt: Date.now() + 1_000 }])
  expect((await runCli(['sweep', '--dry-run'], { env })).stdout).not.toContain('paid late')
  expect(await table.outbox()).toEqual([])
  expect((await runCli(['sweep'], { env })).stdout).toContain('paid late 1, after their cancellation')
  expect((await table.outbox()).map(({ type }) => type)).toEqual(['order.paid_late'])
  expect((await runCli(['sweep'], { env })).stdout).not.toContain('paid late')
})
