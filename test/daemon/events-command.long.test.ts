import { expect, test } from '@jest/globals'
import type { OutboxEvent } from '../../src/order/outbox.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { createRedisStore } from '../../src/stores/redis/kind.ts'
import { RedisOrders } from '../../src/stores/redis/orders.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { Receiver } from '../helpers/receiver.ts'

const ALL = Array.from({ length: 32 }, (_, share) => share)

/** A store with the events of three orders: `lost` was given up, `tried` has failed twice, `new` is new. */
async function openShop(kind: 'redis' | 'postgres') {
  const receiver = await Receiver.start()
  const queue = namedQueue({ name: uniqueName('events') })
  const env: Record<string, string> = { REDIS_URL: redisUrl(), QUEUE_NAME: queue.name, ...receiver.env }
  const ids = ['lost', 'tried', 'new']
  const deadline = Date.now() - 1_000
  const store = await (kind === 'redis' ? openRedis() : openPostgres())
  for (const orderId of ids) await store.cancelUnpaid([{ orderId, deadline }])
  const deliveries = store.deliveries as NonNullable<typeof store.deliveries>
  const asked = { sink: 'webhook', after: undefined, shares: ALL, limit: 10 }
  const { events } = await deliveries.undelivered(asked)
  const [lost, tried] = events as [OutboxEvent, OutboxEvent]
  const why = 'answered 500'
  await deliveries.failed({ ...lost, failures: 10 }, { sink: 'webhook', retryInMs: undefined, why })
  await deliveries.failed({ ...tried, failures: 2 }, { sink: 'webhook', retryInMs: 3_600_000, why })
  const run = (...args: string[]) => runCli(['events', ...args], { env })
  const listed = async (...args: string[]) => JSON.parse((await run(...args, '--json')).stdout).events
  return { receiver, env, lost, tried, run, listed }

  async function openRedis() {
    const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
    const orders = new RedisOrders({ redis: connection.redis, queue })
    closing.push(async () => {
      await orders.clear()
      connection.close()
    })
    await orders.record(ids.map((orderId) => ({ orderId, deadline, placedAt: deadline - 1_000 })))
    return createRedisStore({ connection, queue, areDelivered: true })
  }

  async function openPostgres() {
    const table = await OrdersTable.create({ idType: 'text', hasTrigger: false })
    closing.push(() => table.drop())
    await table.migrate()
    Object.assign(env, table.env)
    await table.insert(ids.map((id) => ({ id, deadline })))
    const store = await PostgresStore.open(table.storeOptions())
    closing.push(() => store.close())
    return store
  }
}

test.each(['redis', 'postgres'] as const)('events are listed, and sent again: %s', async (kind) => {
  const { receiver, env, lost, tried, run, listed } = await openShop(kind)
  const orders = (events: { orderId: string }[]) => events.map(({ orderId }) => orderId)

  const all = await listed('list')
  expect(orders(all)).toEqual(['lost', 'tried', 'new'])
  const why = 'answered 500'
  expect(all[0].deliveries).toEqual([
    { sink: 'webhook', state: 'given-up', failures: 10, why, at: expect.stringMatching(/Z$/) },
  ])
  expect(all[1].deliveries).toMatchObject([{ state: 'waiting', failures: 2, why }])
  expect(all[2].deliveries).toEqual([{ sink: 'webhook', state: 'waiting', failures: 0 }])
  expect(orders(await listed('list', '--given-up'))).toEqual(['lost'])
  expect(orders(await listed('list', '--order', 'tried'))).toEqual(['tried'])
  const shown = await run('list', '--limit', '2')
  expect(shown.code).toBe(0)
  expect(shown.stdout).toMatch(
    new RegExp(
      `^${lost.id}  order\\.cancelled  lost  .*\n  webhook {3}given up .*; 10 attempts failed, the last: answered 500\n`,
    ),
  )
  expect(shown.stdout).toMatch(
    /next attempt in 60 min; 2 attempts failed, the last: answered 500\nand more: --limit 4\n$/,
  )

  expect(await run('replay', '--given-up', '--dry-run')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/would send 1 event again\n$/),
  })
  expect(orders(await listed('list', '--given-up'))).toEqual(['lost'])

  const daemon = await DaemonProcess.start(env)
  closing.push(() => daemon.stop())
  await receiver.got(1)
  expect(receiver.events.map(({ subject }) => subject)).toEqual(['new'])
  expect(orders(await listed('replay', '--given-up'))).toEqual(['lost'])
  expect(orders(await listed('replay', '--event', tried.id, '--sink', 'webhook'))).toEqual(['tried'])
  await receiver.got(3)
  expect(receiver.events.map(({ subject }) => subject).sort()).toEqual(['lost', 'new', 'tried'])
  expect(receiver.events.find(({ subject }) => subject === 'lost')?.id).toBe(lost.id)
})

test('what is not to be done is refused with exit code 1', async () => {
  const { run, env } = await openShop('postgres')
  const refused = async (...args: string[]) => {
    const { code, stderr, stdout } = await run(...args)
    expect(code).toBe(1)
    return `${stdout}${stderr}`
  }
  expect(await refused('replay')).toContain('expected one of --order, --event and --given-up')
  expect(await refused('replay', '--given-up', '--order', 'lost')).toContain('expected one of')
  expect(await refused('replay', '--order', 'nobody')).toContain('sends 0 events again')
  expect(await refused('replay', '--order', 'new')).toContain('sends 0 events again') // it is sent anyway
  expect(await refused('replay', '--order', 'lost', '--sink', 'stream')).toContain(
    '--sink: expected one that is set (webhook)',
  )
  expect(await refused('replay', '--order', 'lost', '--sink', 'mail')).toContain('Allowed choices')
  expect(await refused('list', '--limit', '0')).toContain('from 1 to 10000')
  expect(await refused('list', '--order', '')).toContain('INVALID_ORDER_ID')
  const { WEBHOOK_URL: _, ...withoutSink } = env
  const told = await runCli(['events', 'list'], { env: withoutSink })
  expect(told).toMatchObject({ code: 1, stderr: expect.stringContaining('WEBHOOK_URL, EVENT_STREAM or EVENT_QUEUE') })
})

test('a delivered event that is kept is sent once more', async () => {
  const { receiver, env, run } = await openShop('postgres')
  const daemon = await DaemonProcess.start(env)
  closing.push(() => daemon.stop())
  const [event] = await receiver.got(1)
  expect(event?.subject).toBe('new')
  // It is noted a moment after it has arrived.
  await eventually('it is sent again', async () => (await run('replay', '--order', 'new')).code === 0)
  await eventually('it arrives again', () => receiver.events.length >= 2)
  expect(receiver.events.map(({ id }) => id)).toEqual(receiver.events.map(() => event?.id))
})
