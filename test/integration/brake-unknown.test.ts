import { expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import { Brake } from '../../src/brake/brake.ts'
import type { Held } from '../../src/brake/brake-options.ts'
import { RedisBrake } from '../../src/brake/redis-brake.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue, type QueueKeys } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { startTwoClusterNodes } from '../helpers/cluster-node.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'
import { RecordingStore } from '../unit/order/recording-store.ts'

const OF_CLUSTER = 'brake'

/** A brake of a process at this address, an order that is due, and the brake as an administrator of Redis sees it. */
function openBrake({ url = redisUrl(), maxPerMinute }: { url?: string; maxPerMinute?: number } = {}) {
  const queue = namedQueue({ name: uniqueName('brake') })
  const open = (address: string) => new Connection({ address, profile: commandProfile(address, 500) })
  const [connection, admin] = [open(url), open(redisUrl())]
  closing.push(() => {
    connection.close()
    admin.close()
  })
  const held: Held[] = []
  const store = new RecordingStore()
  const brake = new Brake({
    store,
    shared: new RedisBrake({ connection, queue }),
    maxPerMinute,
    paymentSilenceMs: undefined,
    by: 'test:1',
    onChange: () => {},
    onUnknown: () => {},
    onKnown: () => {},
    onHeld: (each) => held.push(each),
    clock: systemClock,
  })
  return {
    brake,
    store,
    held,
    keys: queue.keys,
    admin: admin.redis,
    shared: new RedisBrake({ connection: admin, queue }),
  }
}

/** A user of Redis with these permissions. */
async function addUser(...rules: string[]): Promise<{ url: string; change: (...rules: string[]) => Promise<unknown> }> {
  const admin = new Redis(redisUrl())
  const name = uniqueName('user')
  closing.push(async () => {
    await admin.call('ACL', 'DELUSER', name)
    admin.disconnect()
  })
  const change = (...more: string[]) => admin.call('ACL', 'SETUSER', name, ...more)
  await change('reset', 'on', '>secret', '&*', ...rules)
  const url = new URL(redisUrl())
  return { url: `redis://${name}:secret@${url.host}`, change }
}

const becameOf = async (brake: Brake, store: RecordingStore) =>
  (await brake.cancelUnpaid(store.placeMany(1))).map(({ kind }) => kind)

const foreign: [string, (redis: Redis, keys: QueueKeys) => Promise<unknown>][] = [
  ['a string', (redis, { brake }) => redis.set(brake, '1')],
  ['a hash of somebody else', (redis, { brake }) => redis.hset(brake, { engaged: 'yes', changed: '1' })],
  ['a hash without a part', (redis, { brake }) => redis.hset(brake, { reason: 'manual' })],
  ['a stamp that is no number', (redis, { brake }) => redis.hset(brake, { engaged: '0', changed: 'x' })],
  [
    'counts and grants of another type',
    (redis, { brakeCancelled, brakeReserved }) => redis.mset(brakeCancelled, '1', brakeReserved, '1'),
  ],
]

test.each([undefined, 100])(
  'the user may not read the key, limit %s: nothing is cancelled until it may',
  async (limit) => {
    const user = await addUser('~bull:*', '+@all')
    const { brake, store, held, keys, shared } = openBrake({ url: user.url, ...(limit && { maxPerMinute: limit }) })
    await shared.engage('manual', 'ann')
    expect(await becameOf(brake, store)).toEqual(['postponed'])
    expect([store.count('cancelled'), brake.unknown?.code]).toEqual([0, 'REDIS_REFUSED'])
    expect(held).toMatchObject([
      { reason: 'unknown', cause: expect.stringContaining(`ACL SETUSER <user> ~${keys.own}*`) },
    ])
    expect(held[0]?.cause).not.toContain('secret')

    await user.change(`~${keys.own}*`)
    await brake.refresh()
    expect(await becameOf(brake, store)).toEqual(['postponed'])
    expect([brake.unknown, held[1]]).toEqual([undefined, { orders: 1, reason: 'manual' }])
    await shared.release('ann', 0)
    expect(await becameOf(brake, store)).toEqual(['cancelled'])
  },
)

test('a permission that is taken away later ends what was known', async () => {
  const user = await addUser('~*', '+@all')
  const { brake, store, keys } = openBrake({ url: user.url })
  expect(await becameOf(brake, store)).toEqual(['cancelled'])
  await user.change('resetkeys', '~bull:*')
  expect(await becameOf(brake, store)).toEqual(['postponed'])
  await user.change(`~${keys.own}*`)
  await brake.refresh()
  expect(await becameOf(brake, store)).toEqual(['cancelled'])
})

test.each(foreign)(
  'there is %s: nothing is cancelled, and engaging and releasing it repairs what can be',
  async (_, write) => {
    const { brake, store, held, keys, admin, shared } = openBrake()
    await write(admin, keys)
    expect(await becameOf(brake, store)).toEqual(['postponed'])
    expect(held).toMatchObject([{ reason: 'unknown', cause: expect.stringContaining('brake engage') }])
    if ((await admin.type(keys.brake)) !== 'hash') {
      await admin.del(keys.brake, keys.brakeCancelled, keys.brakeReserved)
    }
    expect(await shared.engage('manual', 'ann')).toMatchObject({ engaged: true })
    await brake.refresh()
    expect(await becameOf(brake, store)).toEqual(['postponed'])
    await shared.release('ann', 0)
    expect(await becameOf(brake, store)).toEqual(['cancelled'])
  },
)

test('Redis is away before the first answer: nothing is cancelled; after it, the last answer counts', async () => {
  const proxy = await TcpProxy.to(redisUrl())
  closing.push(() => proxy.close())
  const { brake, store } = openBrake({ url: proxy.urlOf(redisUrl()) })
  proxy.cut()
  expect(await becameOf(brake, store)).toEqual(['postponed'])
  expect([store.count('cancelled'), brake.unknown?.code]).toEqual([0, 'REDIS_UNAVAILABLE'])
  proxy.heal()
  await eventually('the state is read', () => brake.refresh().then(() => brake.known))
  proxy.cut()
  await brake.refresh()
  expect(await becameOf(brake, store)).toEqual(['cancelled'])
})

test.each<[string, () => Promise<string>]>([
  ['a wrong password', async () => (await addUser('+@all', '~*')).url.replace('secret', 'wrong')],
  [
    'a node that has other keys',
    async () => {
      const nodes = await startTwoClusterNodes()
      closing.push(async () => {
        for (const node of nodes) await node.stop()
      })
      const shared = namedQueue({ name: OF_CLUSTER }).keys.brake
      const redis = new Redis((nodes[0] as { url: string }).url)
      const slot = Number(await redis.call('CLUSTER', 'KEYSLOT', shared))
      redis.disconnect()
      return (nodes[slot < 8_192 ? 1 : 0] as { url: string }).url
    },
  ],
])('for %s nobody is told to stop the cancellations, to delete keys, or to change permissions', async (_, address) => {
  const url = await address()
  const connection = new Connection({ address: url, profile: commandProfile(url, 500) })
  closing.push(async () => connection.close())
  const shared = new RedisBrake({ connection, queue: namedQueue({ name: OF_CLUSTER }) })
  const error = await shared.status().then(String, ({ code, message }) => ({ code, message }))
  expect(error).toMatchObject({
    code: 'REDIS_REFUSED',
    message: expect.not.stringMatching(/brake engage|delete|ACL SETUSER/),
  })
})
