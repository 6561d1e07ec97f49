import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { OrderExpiry } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { startClusterNode } from '../helpers/cluster-node.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

const PAGE = readFileSync('docs/redis.md', 'utf8')
const USERS = [...PAGE.matchAll(/^ACL SETUSER (\S+) (.*)$/gm)]

const admin = new Redis(redisUrl())
const name = uniqueName('users')
let table: OrdersTable

/** The address of a user of the page, for this queue. */
const as = (user: string) => `redis://${name}-${user}:PASSWORD@${new URL(redisUrl()).host}`
const env = (user: string) => ({ ...table.env, REDIS_URL: as(user), QUEUE_NAME: name })
const run = (user: string, ...args: string[]) => runCli(args, { env: env(user) })

let daemon: DaemonProcess

beforeAll(async () => {
  table = await OrdersTable.create()
  await table.migrate()
  expect(USERS.map(([, user]) => user)).toEqual(['order-expiry', 'order-expiry-producer', 'order-expiry-viewer'])
  for (const [, user = '', rules = ''] of USERS) {
    await admin.call(
      'ACL',
      'SETUSER',
      `${name}-${user}`,
      'reset',
      ...rules.replaceAll('check-payment', name).split(' '),
    )
  }
  await admin.call('ACL', 'LOG', 'RESET')
  daemon = await DaemonProcess.start(env('order-expiry'))
})

afterAll(async () => {
  await daemon.stop()
  for (const [, user] of USERS) await admin.call('ACL', 'DELUSER', `${name}-${user}`)
  admin.disconnect()
  await table.drop()
})

const isCancelled = (id: string) =>
  eventually(`${id} is cancelled`, async () => ((await table.statusOf(id)) === 'cancelled' ? true : undefined))

test('producers schedule, move and withdraw, with the library and with BullMQ alone, and the daemon cancels', async () => {
  const deadline = Date.now() + 1_000
  await table.insert(['1', '2', '3', '4'].map((id) => ({ id, deadline })))
  const client = new OrderExpiry({ redis: as('order-expiry-producer'), queueName: name })
  const queue = new Queue(name, { connection: { url: as('order-expiry-producer') } })
  closing.push(
    () => client.close(),
    () => queue.close(),
  )
  await client.schedule({ orderId: '1', deadline })
  await client.scheduleMany([{ orderId: '2', deadline: deadline + 3_600_000 }])
  await client.reschedule({ orderId: '2', deadline })
  await client.schedule({ orderId: '4', deadline: deadline + 3_600_000 })
  await client.withdraw('4')
  expect(await client.find('1')).toMatchObject({ check: { state: expect.any(String) } })
  await queue.add('check-payment', { orderId: '3', deadline }, { delay: 1_000 })
  await Promise.all([isCancelled('1'), isCancelled('2'), isCancelled('3')])
})

test('the daemon serves its pages, board, probes and figures; its user can use every command', async () => {
  const url = await daemon.url()
  await eventually('it is ready', async () => (await fetch(`${url}/readyz`)).status === 200)
  for (const path of ['/', '/board', `/board/api/queues?activeQueue=${name}&status=completed`, '/v1/forecast']) {
    expect([path, (await fetch(url + path)).status]).toEqual([path, 200])
  }
  expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^order_expiry_queue_up 1$/m)
  const user = 'order-expiry'
  await table.insert([{ id: '5', deadline: Date.now() - 60_000 }])
  for (const args of [
    ['brake', 'engage'],
    ['brake', 'status'],
    ['brake', 'release'],
    ['sweep'],
    ['schedule', '6', '--timeout', '1h'],
    ['withdraw', '6'],
    ['show', '1'],
    ['explain', '1'],
    ['forecast'],
    ['replay', '--all'],
  ]) {
    const { code, stdout, stderr } = await run(user, ...args)
    expect([args, code, code === 0 ? '' : stdout + stderr]).toEqual([args, 0, ''])
  }
  await isCancelled('5')
  const { findings } = JSON.parse((await run(user, 'doctor', '--json')).stdout)
  expect(findings).toContainEqual(expect.objectContaining({ code: 'queue-permissions', level: 'ok' }))
  expect(findings.filter(({ what }: { what: string }) => /could not be/.test(what))).toEqual([])
})

test('whoever only looks sees all, and changes nothing', async () => {
  const user = 'order-expiry-viewer'
  for (const args of [['show', '1'], ['explain', '1'], ['forecast']]) {
    const { code, stdout, stderr } = await run(user, ...args)
    expect([args, code, code === 0 ? '' : stdout + stderr]).toEqual([args, 0, ''])
  }
  const { findings } = JSON.parse((await run(user, 'doctor', '--json')).stdout)
  const codes = (level: string) => findings.filter((one: { level: string }) => one.level === level)
  expect(codes('error')).toEqual([])
  expect(findings).toContainEqual(
    expect.objectContaining({
      code: 'queue-permissions',
      level: 'info',
      meaning: expect.stringContaining('only look'),
    }),
  )
  expect((await run(user, 'brake', 'engage')).code).toBe(1)
  expect((await run(user, 'schedule', '7', '--timeout', '1h')).stderr).toMatch(/REDIS_REFUSED.*EVAL/s)
})

test('whoever only looks sees orders that are in Redis, too', async () => {
  const inRedis = (user: string) => ({ REDIS_URL: as(user), QUEUE_NAME: name })
  const scheduled = await runCli(['schedule', 'r1', '--timeout', '1h'], { env: inRedis('order-expiry') })
  expect([scheduled.code, scheduled.stderr]).toEqual([0, ''])
  for (const command of ['show', 'explain']) {
    const { code, stdout, stderr } = await runCli([command, 'r1'], { env: inRedis('order-expiry-viewer') })
    expect([command, code, stderr]).toEqual([command, 0, ''])
    expect(stdout).toMatch(/pending/)
  }
})

/** The daemon that keeps the orders, with the brake; what producers need is said beside their line. */
const KEEPS_ORDERS = { BRAKE_MAX_PER_MINUTE: '100', BRAKE_PAYMENT_SILENCE: '1d' }

async function startCluster(): Promise<string> {
  const node = await startClusterNode()
  closing.push(() => node.stop())
  return node.url
}

test.each([
  ['bull', 'wrapped', async () => redisUrl()],
  ['{bull}', 'auto', startCluster],
  ['{bull}', 'wrapped', startCluster],
])(
  'with the orders in Redis, the brake, the prefix %s and claims %s, the daemon and the library need no more',
  async (prefix, claims, open) => {
    const url = await open()
    const queueName = uniqueName('kept')
    const root = new Redis(url)
    closing.push(async () => root.disconnect())
    const addressOf = async (user: string, ...more: string[]) => {
      const rules = USERS.find(([, found]) => found === user)?.[2] ?? ''
      const ours = [...rules.split(' '), ...more].map((rule) =>
        rule.replace('check-payment', queueName).replace('bull', prefix),
      )
      await root.call('ACL', 'SETUSER', `${queueName}-${user}`, 'reset', ...ours)
      closing.push(() => root.call('ACL', 'DELUSER', `${queueName}-${user}`))
      return `redis://${queueName}-${user}:PASSWORD@${new URL(url).host}`
    }
    expect(PAGE).toContain('need `~{bull:check-payment}:*` as well')
    const producer = await addressOf('order-expiry-producer', '~{bull:check-payment}:*')
    const settings = { ...KEEPS_ORDERS, CLAIMS: claims, QUEUE_NAME: queueName, QUEUE_PREFIX: prefix }
    const env = { ...settings, REDIS_URL: await addressOf('order-expiry') }
    const keeper = await DaemonProcess.start(env)
    closing.push(() => keeper.stop())
    const client = new OrderExpiry({ redis: producer, queueName, queuePrefix: prefix, orders: 'redis' })
    closing.push(() => client.close())
    const deadline = Date.now() + 1_000
    await client.schedule({ orderId: 'unpaid', deadline })
    await client.scheduleMany(['moved', 'paid', 'gone'].map((orderId) => ({ orderId, deadline: deadline + 3_600_000 })))
    await client.reschedule({ orderId: 'moved', deadline })
    await client.pay('paid')
    await client.withdraw('gone')
    const statusOf = async (orderId: string) => (await client.find(orderId))?.order?.status
    await eventually('both are cancelled', async () =>
      [await statusOf('unpaid'), await statusOf('moved')].every((status) => status === 'cancelled'),
    )
    expect([await statusOf('paid'), await statusOf('gone')]).toEqual(['paid', 'withdrawn'])
    const web = await keeper.url()
    await eventually('it is ready', async () => (await fetch(`${web}/readyz`)).status === 200)
    for (const path of ['/', '/v1/orders/unpaid/explain', '/metrics']) {
      expect([path, (await fetch(web + path)).status]).toEqual([path, 200])
    }
    for (const args of [['sweep'], ['brake', 'engage'], ['brake', 'release'], ['explain', 'unpaid']]) {
      const { code, stdout, stderr } = await runCli(args, { env })
      expect([args, code, code === 0 ? '' : stdout + stderr]).toEqual([args, 0, ''])
    }
    const { findings } = JSON.parse((await runCli(['doctor', '--json'], { env })).stdout)
    expect(findings).toContainEqual(expect.objectContaining({ code: 'queue-permissions', level: 'ok' }))
    expect(keeper.logs.filter(({ msg }) => /refuse/i.test(msg))).toEqual([])
    expect(await refusedTo(queueName, root)).toEqual(new Set(['config|get']))
  },
)

/** What was refused to the users of a queue, other than those who only look. */
async function refusedTo(queueName: string, redis: Redis): Promise<Set<string>> {
  const log = (await redis.call('ACL', 'LOG', '128')) as unknown[][]
  const field = (entry: unknown[], of: string) => String(entry[entry.indexOf(of) + 1])
  const users = log.map((entry) => [field(entry, 'username'), field(entry, 'object')] as const)
  const refused = users.filter(([user]) => user.startsWith(queueName) && !user.endsWith('-viewer'))
  return new Set(refused.map(([, object]) => object))
}

test('nothing was refused to the daemon and the producers but the settings of Redis, which doctor can do without', async () => {
  expect(await refusedTo(name, admin)).toEqual(new Set(['config|get']))
})

test('a daemon that may not even ask for the version of Redis ends, and names the command', async () => {
  const user = `${name}-order-expiry`
  await admin.call('ACL', 'SETUSER', user, '-info')
  const { code, stdout } = await runCli(['start'], { env: { ...env('order-expiry'), HTTP_PORT: '0' } })
  await admin.call('ACL', 'SETUSER', user, '+info')
  expect(code).toBe(1)
  expect(stdout).toMatch(/"code":"REDIS_REFUSED".*refuses INFO .*ACL SETUSER <user> \+info/)
})
