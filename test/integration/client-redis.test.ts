import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { OrderExpiry, type OrderExpiryOptions } from '../../src/index.ts'
import { closing } from '../helpers/closing.ts'
import { uniqueName } from '../helpers/env.ts'
import { end, freePort, type Server, startRedis, untilConnected } from '../helpers/processes.ts'

/*
 * What a shop gives as `redis`. The Redis here listens on a port of its own, so an order that is found in it was
 * written where the shop meant.
 */

let redis: Server
let sentinelPort: number
let stopSentinel: () => Promise<void>
let reader: Redis
beforeAll(async () => {
  redis = await startRedis()
  sentinelPort = await freePort()
  stopSentinel = await startSentinel(sentinelPort, redis.port)
  reader = new Redis(redis.url)
})
afterAll(async () => {
  reader.disconnect()
  await stopSentinel()
  await redis.stop()
})

async function startSentinel(port: number, primaryPort: number): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-sentinel-'))
  const settings = [`port ${port}`, 'bind 127.0.0.1', `dir ${dir}`, `sentinel monitor shop 127.0.0.1 ${primaryPort} 1`]
  writeFileSync(join(dir, 'sentinel.conf'), settings.join('\n'))
  const child = spawn('redis-server', [join(dir, 'sentinel.conf'), '--sentinel'], { stdio: 'ignore' })
  await untilConnected(port, child)
  return async () => {
    await end(child, 'SIGTERM')
    rmSync(dir, { recursive: true, force: true })
  }
}

class ShopRedis extends Redis {}

const client = (options: Omit<RedisOptions, 'replyMapping'>, Client: typeof Redis = Redis): Redis => {
  const made = new Client({ lazyConnect: true, ...options })
  closing.push(() => made.disconnect())
  return made
}
const toPrimary = () => ({ sentinels: [{ host: '127.0.0.1', port: sentinelPort }], name: 'shop' })

describe('an order is written where the shop means, given', () => {
  test.each<[what: string, redis: () => OrderExpiryOptions['redis']]>([
    ['a URL', () => redis.url],
    ['options', () => ({ host: '127.0.0.1', port: redis.port })],
    ['options with a port alone', () => ({ port: redis.port })],
    [
      'options from the texts of variables',
      () => ({ host: '::ffff:127.0.0.1', port: `${redis.port}`, db: '0' }) as object,
    ],
    ['options that connect later', () => ({ port: redis.port, lazyConnect: true, maxRetriesPerRequest: null })],
    ['options with Sentinels', toPrimary],
    ['a client', () => client({ port: redis.port, lazyConnect: false })],
    ['a client that is not connected yet', () => client({ port: redis.port })],
    ['a client of a subclass', () => client({ port: redis.port }, ShopRedis)],
    ['a duplicate of a client', () => client({ port: redis.port }).duplicate()],
    ['a client with a prefix for the keys of the shop', () => client({ port: redis.port, keyPrefix: 'shop:' })],
    ['a client with Sentinels', () => client(toPrimary())],
    ['a duplicate of a client with Sentinels', () => client(toPrimary()).duplicate()],
  ])('%s', async (_, given) => {
    const queueName = uniqueName('given')
    const shop = new OrderExpiry({ redis: given(), queueName })
    closing.push(() => shop.close())
    expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toMatchObject({ result: 'scheduled' })
    expect(await reader.exists(`bull:${queueName}:order-a`)).toBe(1)
  })
})

test.each<[what: string, redis: () => OrderExpiryOptions['redis']]>([
  ['a client that reads numbers as texts', () => client({ port: redis.port, stringNumbers: true })],
  ['options with RESP3', () => ({ port: redis.port, protocol: 3 })],
  ['options with pipelines', () => ({ port: redis.port, enableAutoPipelining: true })],
  ['options for reading', () => ({ port: redis.port, readOnly: true })],
  ['options without repetition', () => ({ port: redis.port, maxRetriesPerRequest: 0, commandTimeout: 1 })],
  ['options with queues', () => ({ port: redis.port, enableOfflineQueue: true, offlineQueue: false })],
  ['options for finding errors', () => ({ port: redis.port, showFriendlyErrorStack: true, db: 0 })],
])('each call answers as ever, given %s', async (_, given) => {
  const shop = new OrderExpiry({ redis: given(), queueName: uniqueName('given') })
  closing.push(() => shop.close())
  const order = { orderId: 'a', deadline: '15m' }
  expect((await shop.schedule(order)).result).toBe('scheduled')
  expect((await shop.schedule(order)).result).toBe('unchanged')
  expect((await shop.reschedule({ ...order, deadline: '1h' })).result).toBe('rescheduled')
  expect((await shop.find('a'))?.check?.state).toBe('waiting')
  expect((await shop.withdraw('a')).result).toBe('withdrawn')
  expect((await shop.withdraw('a')).result).toBe('missing')
})

describe('what cannot be followed is refused with the reason:', () => {
  test.each<[what: string, redis: () => unknown, why: RegExp]>([
    ['a client of a cluster', () => new Cluster([], { lazyConnect: true }), /Cluster/],
    ['a list of nodes', () => [{ host: 'h', port: 7000 }], /list/],
    ['options of a cluster', () => ({ nodes: [{ host: 'h' }] }), /Cluster/],
    [
      'a client of another package',
      () => ({ options: { socket: { host: 'h' } }, sendCommand() {} }),
      /another package/,
    ],
    ['a URL of Sentinels', () => 'redis+sentinel://:hunter2@h:26379,i:26379/shop', /options with sentinels and name/],
    ['a URL of Sentinels in other words', () => 'redis-sentinel://h/shop', /options with sentinels and name/],
    ['a URL of a cluster', () => 'redis+cluster://:hunter2@h', /a Redis Cluster, which/],
    ['a URL that is none', () => 'h:6379', /begin with redis:\/\//],
    ['a URL with files of certificates', () => 'rediss://h?ssl_ca_certs=/ca', /set redis\.tls\.ca, redis\.tls\.cert/],
    ['a URL within an object', () => ({ url: 'redis://h' }), /give the URL itself/],
    ['an object that says nothing', () => ({}), /names none/],
    ['a password alone', () => ({ password: 'hunter2' }), /only password/],
    ['a host that is not set', () => ({ host: undefined, port: 6379 }), /host: undefined/],
    ['a host that is empty', () => ({ host: '' }), /host: an empty/],
    ['a misspelt host', () => ({ hostname: 'h', port: 6379 }), /did you mean host/],
    ['a misspelt database', () => ({ host: 'h', database: 3 }), /did you mean db/],
    ['a prefix under which the daemon does not look', () => ({ host: 'h', keyPrefix: 'shop:' }), /queuePrefix/],
    ['numbers as texts', () => ({ host: 'h', stringNumbers: true }), /stringNumbers, .* leave it out/],
    ['no Sentinel', () => ({ sentinels: [], name: 'shop' }), /sentinels: none/],
    ['Sentinels that are not asked for a name', () => ({ sentinels: [{ host: 'h' }] }), /without name/],
    ['a replica', () => ({ ...toPrimary(), role: 'slave' }), /nothing can be written/],
    ['a port that is not set, as a number', () => ({ host: 'h', port: Number(undefined) }), /port: .* given NaN$/],
    ['a port that is none', () => ({ host: 'h', port: 70_000 }), /port: expected a number from 1 to 65535/],
    ['a port that is null', () => ({ host: 'h', port: null }), /port: null/],
    ['a database that is not set, as a number', () => ({ host: 'h', db: Number(undefined) }), /db: .* given NaN$/],
    ['a database with a name', () => ({ host: 'h', db: 'hunter2' }), /db: expected a number/],
    ['a client whose database is none', () => client({ host: 'h', db: Number.NaN }), /db: .* given NaN$/],
    ['a URL as the host', () => ({ host: 'redis://:hunter2@h' }), /host: expected a name or an address alone/],
    ['a host with its port', () => ({ host: 'h:6379' }), /host: expected/],
    ['TLS that is the text of a variable', () => ({ host: 'h', tls: 'false' }), /tls: expected/],
    ['a Sentinel that is a text', () => ({ sentinels: ['h:26379'], name: 'shop' }), /Sentinel without host/],
    [
      'a Sentinel whose port is none',
      () => ({ sentinels: [{ host: 'h', port: 'x' }], name: 'shop' }),
      /sentinels: port/,
    ],
    ['a URL as an object', () => new URL('redis://h'), /give its text/],
    ['nothing', () => undefined, /undefined/],
    ['null', () => null, /null/],
    ['a port alone, as a number', () => 6379, /number/],
  ])('%s', (_, given, why) => {
    const options = { redis: given() } as OrderExpiryOptions
    const wrong = { code: 'INVALID_OPTIONS', message: expect.stringMatching(why) }
    expect(() => new OrderExpiry(options)).toThrow(expect.objectContaining(wrong))
    expect(() => new OrderExpiry(options)).toThrow(/^(redis|the option redis): /)
    expect(() => new OrderExpiry(options)).not.toThrow('hunter2')
  })
})
