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

const EVERYTHING = 'order.cancelled,order.kept,order.check_failed,brake.engaged'

/** A queue of its own, a receiver, and with `postgres` an orders table. */
async function openShop(kind: 'redis' | 'postgres', settings: Record<string, string> = {}) {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const receiver = await Receiver.start()
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, ...(kind === 'redis' && { orders: 'redis' }) })
  closing.push(() => shop.close())
  const table = kind === 'postgres' ? await OrdersTable.create({ idType: 'text' }) : undefined
  if (table) closing.push(() => table.drop())
  await table?.migrate()
  const env: Record<string, string> = {
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    ...receiver.env,
    ...table?.env,
    ...settings,
  }
  const start = async () => {
    const daemon = await DaemonProcess.start(env)
    closing.push(() => daemon.stop())
    return daemon
  }
  const run = (...args: string[]) => runCli(args, { env })
  return { raw, receiver, shop, table: table as OrdersTable, env, start, run }
}

/** What the outbox takes no longer, until the result is called. */
async function refuse(table: OrdersTable, type: string): Promise<() => Promise<void>> {
  await table.pool.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON order_expiry_outbox FOR EACH ROW WHEN (NEW.type = '${type}') EXECUTE FUNCTION refuse()`)
  return async () => {
    await table.pool.query('DROP TRIGGER refuse ON order_expiry_outbox')
  }
}

async function expectAsDocumented(receiver: Receiver): Promise<void> {
  for (const event of receiver.events) expect([event.type, await schemaProblems(event)]).toEqual([event.type, ''])
  expect(receiver.refused).toEqual([])
}

test.each(['redis', 'postgres'] as const)('a kept order is told where EVENTS says so: %s', async (kind) => {
  const { receiver, shop, table, start } = await openShop(kind, { EVENTS: EVERYTHING })
  const deadline = Date.now() + 1_000
  await table?.insert([{ id: 'paid', status: 'paid', deadline, paidAt: deadline - 500 }])
  await table?.insert([{ id: 'gone', status: 'cancelled', deadline }])
  await table?.insert([{ id: 'late', deadline }])
  for (const orderId of ['paid', 'gone', 'late']) await shop.schedule({ orderId, deadline })
  if (kind === 'redis') await shop.pay('paid')
  const daemon = await start()
  await receiver.got(kind === 'redis' ? 3 : 2)
  await daemon.stop()
  const kept = receiver.events.filter(({ type }) => type === 'order.kept')
  expect(kept.map(({ subject, data }) => ({ subject, ...data }))).toEqual([
    {
      subject: 'paid',
      orderId: 'paid',
      at: expect.any(String),
      deadline: new Date(deadline).toISOString(),
      status: 'paid',
      ...(kind === 'postgres' && { paid: true, table: `${table.schema}.orders` }),
      decidedBy: 'check',
    },
  ])
  await expectAsDocumented(receiver)
})

test('unless EVENTS says so, a kept order writes nothing; and the outbox that takes no event keeps its check from ending', async () => {
  const { raw, receiver, shop, table, env, start } = await openShop('postgres')
  await table.insert([{ id: 'a', status: 'paid', deadline: Date.now() - 1_000 }])
  const untold = await start()
  await shop.schedule({ orderId: 'a', deadline: Date.now() - 1_000 })
  await eventually('its check ends', async () => (await raw.queue.getCompletedCount()) === 1)
  await untold.stop()
  expect(await table.outbox()).toEqual([])

  env.EVENTS = EVERYTHING
  const takeAgain = await refuse(table, 'order.kept')
  const daemon = await start()
  await table.insert([{ id: 'b', status: 'paid', deadline: Date.now() - 1_000 }])
  await shop.schedule({ orderId: 'b', deadline: Date.now() - 1_000 })
  await eventually('it is put back', async () => (await raw.queue.getDelayedCount()) === 1)
  await takeAgain()
  const [event] = await receiver.got(1)
  expect(event).toMatchObject({ type: 'order.kept', subject: 'b' })
  await eventually('its check ends', async () => (await raw.queue.getCompletedCount()) === 2)
  await daemon.stop()
  expect(receiver.events.length).toBe(1)
})

test('a check that is given up is told once it can be, and before it is in the failed set', async () => {
  const { raw, receiver, shop, table, start, run } = await openShop('postgres', { MAX_ATTEMPTS: '1' })
  await table.pool.query(`
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stock \u001b[1mis gone'; END $$;
    CREATE TRIGGER keep BEFORE UPDATE ON orders FOR EACH ROW WHEN (OLD.id = 'stuck') EXECUTE FUNCTION keep()`)
  const takeAgain = await refuse(table, 'order.check_failed')
  const deadline = Date.now() - 1_000
  await table.insert([{ id: 'stuck', deadline }])
  await table.insert([{ id: 'good', deadline }])
  await start()
  for (const orderId of ['stuck', 'good']) await shop.schedule({ orderId, deadline })
  const isPutBack = async () => (await raw.queue.getDelayedCount()) + (await raw.queue.getPrioritizedCount()) === 1
  await eventually('the others are cancelled', async () => (await table.statusOf('good')) === 'cancelled')
  await eventually('it is put back', isPutBack)
  expect(await raw.queue.getFailedCount()).toBe(0)
  await takeAgain()
  await receiver.got(2)
  await eventually('it is given up', async () => (await raw.queue.getFailedCount()) === 1)
  const failed = receiver.events.filter(({ type }) => type === 'order.check_failed')
  expect(failed.map(({ subject, data }) => ({ subject, ...data }))).toEqual([
    {
      subject: 'stuck',
      orderId: 'stuck',
      at: expect.any(String),
      deadline: new Date(deadline).toISOString(),
      jobId: 'order-stuck',
      code: 'STORE_REJECTED',
      reason: expect.stringContaining('stock \\u001b[1mis gone'),
      table: `${table.schema}.orders`,
    },
  ])
  await run('replay', '--all')
  await receiver.got(3) // it is given up once more
  await expectAsDocumented(receiver)
})

test('so is a job that cannot be read, with its order if it names one', async () => {
  const { raw, receiver, start } = await openShop('redis')
  await raw.queue.add('check-payment', { orderId: 'a-1', deadline: 'soon' }, { jobId: 'x' })
  await raw.queue.add('check-payment', { orderId: { no: 1 } }, { jobId: 'y' })
  await start()
  await receiver.got(2)
  await eventually('both are given up', async () => (await raw.queue.getFailedCount()) === 2)
  expect(receiver.events.map(({ subject, data }) => [data.jobId, data.code, subject, data.orderId]).sort()).toEqual([
    ['x', 'INVALID_JOB', 'a-1', 'a-1'],
    ['y', 'INVALID_JOB', undefined, undefined],
  ])
  await expectAsDocumented(receiver)
})

test.each(['redis', 'postgres'] as const)(
  'each time that the brake is engaged is told once, by several processes: %s',
  async (kind) => {
    const { receiver, start, run } = await openShop(kind)
    const daemons = await Promise.all([start(), start(), start()])
    await run('brake', 'engage', '--reason', 'feed is down', '--by', 'ann')
    await receiver.got(1)
    await run('brake', 'engage', '--reason', 'still down', '--by', 'bob') // nobody has released it
    await receiver.got(2)
    const brakesOf = async () => {
      const pages = daemons.map(async (daemon) => (await fetch(`${await daemon.url()}/metrics`)).text())
      return (await Promise.all(pages)).map((page) => /^order_expiry_brake_engaged (\d)/m.exec(page)?.[1])
    }
    await run('brake', 'release')
    await eventually('all know', async () => (await brakesOf()).every((engaged) => engaged === '0'))
    await Promise.all(daemons.map((daemon) => daemon.stop()))
    expect(receiver.events.map(({ type, subject, data }) => [type, subject, data.reason, data.by])).toEqual([
      ['brake.engaged', undefined, 'feed is down', 'ann'],
      ['brake.engaged', undefined, 'still down', 'bob'],
    ])
    await expectAsDocumented(receiver)
  },
)
