import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { OrderExpiry } from '../../src/index.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'

/** A shop with an overdue order, an engaged brake, and a user of Redis that may use BullMQ's keys and not the brake's. */
async function openShop() {
  const table = await OrdersTable.create()
  await table.migrate()
  const name = uniqueName('brake')
  const admin = new Redis(redisUrl())
  const acl = (...rules: string[]) => admin.call('ACL', 'SETUSER', name, ...rules)
  await acl('reset', 'on', '>secret', '~bull:*', '&*', '+@all')
  closing.push(async () => {
    await admin.call('ACL', 'DELUSER', name)
    admin.disconnect()
    await table.drop()
  })
  const env = { ...table.env, REDIS_URL: `redis://${name}:secret@${new URL(redisUrl()).host}`, QUEUE_NAME: name }
  expect((await runCli(['brake', 'engage'], { env: { ...env, REDIS_URL: redisUrl() } })).code).toBe(0)
  await table.insert([{ id: '1', deadline: Date.now() - 60_000 }])
  return { table, env, acl, ownKeys: `~${namedQueue({ name }).keys.own}*` }
}

test('a daemon that may not read the brake cancels nothing, says why everywhere, and goes on once it may', async () => {
  const { table, env, acl, ownKeys } = await openShop()
  const client = new OrderExpiry({ redis: redisUrl(), queueName: env.QUEUE_NAME })
  closing.push(() => client.close())
  const daemon = await DaemonProcess.start(env)
  closing.push(() => daemon.stop())
  const url = await daemon.url()
  const text = async (path: string) => (await fetch(url + path)).text()
  await client.schedule({ orderId: '1', deadline: Date.now() })
  expect(await daemon.until(({ reason }) => reason === 'unknown')).toMatchObject({
    level: 'error',
    cause: expect.stringContaining(`ACL SETUSER <user> ${ownKeys}`),
  })
  const ready = await fetch(`${url}/readyz`)
  expect([ready.status, await ready.json()]).toMatchObject([
    503,
    {
      checks: [
        { status: 'ok' },
        { status: 'ok' },
        { name: 'brake', reason: 'REDIS_REFUSED (NOPERM)' },
        { name: 'worker', status: 'ok' },
      ],
    },
  ])
  expect((await fetch(`${url}/livez`)).status).toBe(200)
  expect(await text('/metrics')).toMatch(/^order_expiry_brake_unknown 1$/m)
  expect(await text('/')).toContain('unknown: cancels nothing')
  expect(await text('/v1/orders/1/explain')).toContain('the state of the brake cannot be read')
  expect(await table.statusOf('1')).toBe('pending')

  await acl(ownKeys)
  await eventually('it is ready', async () => ((await fetch(`${url}/readyz`)).status === 200 ? true : undefined))
  expect(await text('/metrics')).toMatch(/^order_expiry_brake_engaged 1$/m)
  expect(await table.statusOf('1')).toBe('pending')
  expect((await runCli(['brake', 'release'], { env })).code).toBe(0)
  await eventually('it is cancelled', async () => ((await table.statusOf('1')) === 'cancelled' ? true : undefined))
})

test.each([['sweep'], ['sweep', '--dry-run']])('%s %s cancels nothing either, fails, and says why', async (...args) => {
  const { table, env, ownKeys } = await openShop()
  const { code, stdout } = await runCli(args, { env })
  expect([code, stdout]).toEqual([1, expect.stringMatching(/nothing is cancelled: it is not known whether the brake/)])
  expect(stdout).toContain(`ACL SETUSER <user> ${ownKeys}`)
  const json = JSON.parse((await runCli([...args, '--json'], { env })).stdout)
  expect(json.brake).toEqual({ engaged: 'unknown', reason: expect.stringMatching(/^REDIS_REFUSED: .*NOPERM/) })
  expect(await table.statusOf('1')).toBe('pending')
  const readable = await runCli([...args, '--json'], { env: { ...env, REDIS_URL: redisUrl() } })
  expect(JSON.parse(readable.stdout).brake).toEqual({ engaged: true, reason: 'manual' })
})
