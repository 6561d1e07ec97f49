import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Redis } from 'ioredis'
import type { Finding, FindingCode } from '../../src/doctor/finding.ts'
import { OrderExpiry } from '../../src/index.ts'
import { diagnoseRedis } from '../../src/queue/diagnosis/redis.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { type Clock, systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { complaints, fixesOf, ofCode } from '../helpers/findings.ts'
import { freePort, type Server, startRedis } from '../helpers/processes.ts'
import { addDue, startPump } from '../helpers/pump.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const DEFAULTS: [string, string][] = [
  ['appendonly', 'no'],
  ['appendfsync', 'everysec'],
  ['save', ''],
  ['maxmemory', '0'],
  ['maxmemory-policy', 'noeviction'],
  ['hash-max-listpack-value', '64'],
]

let dir: string
let server: Server
let redis: Redis

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'order-expiry-doctor-'))
  server = await startRedis({ dir })
  redis = new Redis(server.url, { maxRetriesPerRequest: null })
})

afterAll(async () => {
  redis.disconnect()
  await server.stop()
  rmSync(dir, { recursive: true, force: true })
})

function diagnose(
  overrides: { redis?: string; keepsOrders?: boolean; clock?: Clock; queueName?: string } = {},
): ReturnType<typeof diagnoseRedis> {
  const { queueName = 'check-payment', ...rest } = overrides
  const queue = namedQueue({ name: queueName })
  return diagnoseRedis({ redis: server.url, keepsOrders: true, clock: systemClock, queue, ...rest })
}

async function set(settings: [string, string][]): Promise<void> {
  for (const [name, value] of settings) await redis.config('SET', name, value)
}

/** Does what the finding says. */
async function mend(findings: Finding[], code: FindingCode): Promise<void> {
  const fixes = fixesOf(findings, code)
  expect(fixes).not.toEqual([])
  for (const fix of fixes) await redis.call(...(fix.split(' ') as [string, ...string[]]))
}

describe('a setting', () => {
  test.each<[FindingCode, string, [string, string][], string, string]>([
    ['redis-persistence', 'warning', [], 'nothing is written to disk', 'append-only file, fsynced every second'],
    [
      'redis-persistence',
      'warning',
      [['save', '3600 1 300 100']],
      'snapshots only (save 3600 1 300 100)',
      'append-only file, fsynced every second',
    ],
    [
      'redis-persistence',
      'warning',
      [
        ['appendonly', 'yes'],
        ['appendfsync', 'no'],
      ],
      'append-only file, but appendfsync no',
      'append-only file, fsynced every second',
    ],
    [
      'redis-eviction',
      'error',
      [['maxmemory-policy', 'allkeys-lru']],
      'maxmemory-policy allkeys-lru',
      'maxmemory-policy noeviction',
    ],
    [
      'redis-eviction',
      'error',
      [['maxmemory-policy', 'volatile-ttl']],
      'maxmemory-policy volatile-ttl',
      'maxmemory-policy noeviction',
    ],
    ['redis-listpack', 'info', [], 'hash-max-listpack-value 64', 'hash-max-listpack-value 256'],
  ])('%s is found (%s) and mended by what it names: %j', async (code, level, settings, before, after) => {
    await set([...DEFAULTS, ...settings])
    const findings = await diagnose()
    expect(ofCode(findings, code)).toEqual([[level, before]])
    await mend(findings, code)
    expect(ofCode(await diagnose(), code)).toEqual([['ok', after]])
  })

  test('with all of them mended there is nothing to complain of', async () => {
    await set([...DEFAULTS, ['appendonly', 'yes']])
    const findings = await diagnose()
    expect(complaints(findings)).toEqual([])
    expect(ofCode(findings, 'redis-reachable')).toEqual([['ok', `answers at 127.0.0.1:${server.port}`]])
    expect(ofCode(findings, 'redis-role')).toEqual([['ok', 'primary, takes writes']])
  })

  test('snapshots alone are no warning where the orders are elsewhere', async () => {
    await set([...DEFAULTS, ['save', '60 1']])
    expect(ofCode(await diagnose({ keepsOrders: false }), 'redis-persistence')[0]?.[0]).toBe('info')
  })
})

describe('memory of jobs', () => {
  const queueName = uniqueName('doctor')

  async function scheduleMany(orderIds: readonly string[]): Promise<void> {
    const shop = new OrderExpiry({ redis: server.url, queueName })
    const results = await shop.scheduleMany(orderIds.map((orderId) => ({ orderId, deadline: '1h', by: 'the till' })))
    expect(results.every((result) => 'result' in result)).toBe(true)
    await shop.close()
  }

  const bytesOf = async (orderId: string) =>
    Number(await redis.memory('USAGE', `bull:${queueName}:order-${orderId}`, 'SAMPLES', 0))
  const uuids = (n: number) => Array.from({ length: n }, () => randomUUID())
  const listpack = async () => (await diagnose({ queueName })).find(({ code }) => code === 'redis-listpack')

  beforeEach(async () => {
    await set(DEFAULTS) // with snapshots FLUSHALL would write one
    await redis.flushall()
  })

  test('of waiting orders, the saving is told in numbers, which come true once the setting is changed', async () => {
    const before = uuids(300)
    await scheduleMany(before)
    const found = await listpack()
    expect(found).toMatchObject({ level: 'info', what: 'hash-max-listpack-value 64' })
    const [, less, then, now, orders] =
      /about ([\d.]+ [KM]B) less for the waiting orders \((\d+) bytes instead of (\d+) for each job, (\d+) of 300\)\./.exec(
        found?.meaning ?? '',
      ) ?? []
    expect(Number(orders)).toBe(300)
    expect(Number(now)).toBe(await bytesOf(before[0] as string))
    await mend(await diagnose({ queueName }), 'redis-listpack')
    const [after] = uuids(1)
    await scheduleMany([after as string])
    expect(Math.abs((await bytesOf(after as string)) - Number(then))).toBeLessThanOrEqual(16)
    expect(less).toMatch(/KB|MB/)
    expect(await listpack()).toMatchObject({ level: 'ok', what: 'hash-max-listpack-value 256' })
  })

  test('so is that of finished checks, also where the limit is enough for those that wait', async () => {
    await set([['hash-max-listpack-value', '128']])
    await scheduleMany(uuids(50))
    const raw = new RawQueue(server.url, queueName)
    closing.push(() => raw.close())
    await startPump(raw, { redis: server.url, decidedBy: 'worker-7d9f:17' })
    const bytesOf = async (jobId: string) => Number(await redis.memory('USAGE', raw.queue.toKey(jobId), 'SAMPLES', 0))
    const untilEnded = (count: number) =>
      eventually('all have ended', async () => (await raw.queue.getCompletedCount()) === count)
    await addDue(raw, 150)
    await untilEnded(150)
    const found = await listpack()
    expect(found).toMatchObject({ level: 'info', what: 'hash-max-listpack-value 128' })
    const [, then, now] =
      /^With 256, Redis would take about \d+ KB less for the finished checks \((\d+) bytes instead of (\d+) for each job, 150 of 150\)\./.exec(
        found?.meaning ?? '',
      ) ?? []
    expect(Math.abs((await bytesOf('job-150')) - Number(now))).toBeLessThanOrEqual(16)
    await mend(await diagnose({ queueName }), 'redis-listpack')
    await raw.queue.add('check-payment', { orderId: '151', deadline: Date.now() - 1 }, { jobId: 'job-151' })
    await untilEnded(151)
    expect(Math.abs((await bytesOf('job-151')) - Number(then))).toBeLessThanOrEqual(16)
    expect(await listpack()).toMatchObject({ level: 'ok', what: 'hash-max-listpack-value 256' })
  })

  test('before any has finished, it is told what one takes', async () => {
    await scheduleMany(Array.from({ length: 50 }, (_, n) => `${1234567890123456n + BigInt(n)}`))
    const { level, meaning } = (await listpack()) ?? {}
    expect({ level, meaning }).toEqual({ level: 'info', meaning: expect.stringMatching(/^With 256 a finished check/) })
  })

  test('nothing is advised where what has finished is small enough', async () => {
    const raw = new RawQueue(server.url, queueName)
    closing.push(() => raw.close())
    const { id = '' } = await raw.queue.add('check-payment', {})
    await redis.lrem(raw.queue.toKey('wait'), 1, id)
    await redis.zadd(raw.queue.toKey('completed'), 1, id)
    expect(await listpack()).toMatchObject({
      level: 'ok',
      what: 'hash-max-listpack-value 64, which is enough for the jobs here',
    })
  })

  test('it is found out where settings cannot be read, and left out where jobs cannot be, either', async () => {
    await scheduleMany([...uuids(30), ...Array.from({ length: 70 }, (_, n) => `${n}`)])
    const login = `redis://tenant:geheim@127.0.0.1:${server.port}`
    const look = async (...rules: string[]) => {
      await redis.call('ACL', 'SETUSER', 'tenant', 'reset', 'on', '>geheim', '~*', '&*', '+@all', '-config', ...rules)
      return (await diagnose({ redis: login, queueName })).find(({ code }) => code === 'redis-listpack')
    }
    const found = await look()
    expect(found).toMatchObject({ level: 'info', what: 'hash-max-listpack-value is less than 256' })
    expect(found?.meaning).toContain('for each job, 30 of 100)')
    expect(found?.fix).toMatch(/^#/)
    expect(await look('-memory')).toBeUndefined()
  })
})

test.each([
  [1.15, 'warning'],
  [1.01, 'error'],
])('memory: a limit of %d times what is used is a %s, and a new limit mends it', async (times, level) => {
  await set(DEFAULTS)
  await redis.set('ballast', 'x'.repeat(20_000_000))
  const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
  await set([['maxmemory', `${Math.round(used * times)}`]])
  const findings = await diagnose()
  expect(ofCode(findings, 'redis-memory')[0]?.[0]).toBe(level)
  await mend(findings, 'redis-memory')
  expect(ofCode(await diagnose(), 'redis-memory')[0]?.[0]).toBe('ok')
  await redis.del('ballast')
})

test('a snapshot that failed is an error, because Redis then refuses writes', async () => {
  await set([...DEFAULTS, ['save', '3600 1']])
  mkdirSync(join(dir, 'dump.rdb')) // in the way of the snapshot
  await redis.bgsave()
  const status = async () => /rdb_last_bgsave_status:(\w+)/.exec(await redis.info('persistence'))?.[1]
  await eventually('it has failed', async () => (await status()) === 'err')
  await expect(redis.set('a', '1')).rejects.toThrow('MISCONF')
  const findings = await diagnose()
  expect(ofCode(findings, 'redis-writes')).toEqual([['error', 'the last snapshot (BGSAVE) has failed']])
  rmdirSync(join(dir, 'dump.rdb'))
  await mend(findings, 'redis-writes')
  await eventually('it has succeeded', async () => (await status()) === 'ok')
  expect(ofCode(await diagnose(), 'redis-writes')[0]?.[0]).toBe('ok')
})

test('a replica is an error until it is made the primary; its primary only tells of it', async () => {
  const replica = await startRedis()
  const client = new Redis(replica.url)
  try {
    await client.replicaof('127.0.0.1', server.port)
    await eventually('it is connected', async () =>
      (await client.info('replication')).includes('master_link_status:up'),
    )
    const findings = await diagnose({ redis: replica.url })
    expect(ofCode(findings, 'redis-role')).toEqual([['error', `is a replica of 127.0.0.1:${server.port} (link up)`]])
    expect(ofCode(await diagnose(), 'redis-replicas')).toEqual([['info', '1 replica, min-replicas-to-write 0']])
    expect(fixesOf(findings, 'redis-role')).toEqual(['REPLICAOF NO ONE'])
    await client.replicaof('NO', 'ONE')
    expect(ofCode(await diagnose({ redis: replica.url }), 'redis-role')[0]?.[0]).toBe('ok')
  } finally {
    client.disconnect()
    await replica.stop()
  }
})

test.each([
  [0, 'ok', /^\d+ ms /],
  [5_000, 'warning', /^5\.0 s behind the clock here/],
  [-45_000, 'error', /^45\.0 s ahead of the clock here/],
])('a clock here that is %d ms ahead: %s', async (ahead, level, what) => {
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead }
  const [found] = ofCode(await diagnose({ clock }), 'redis-clock')
  expect(found?.[0]).toBe(level)
  expect(found?.[1]).toMatch(what)
})

describe('a user', () => {
  const url = (user: string, password: string) => `redis://${user}:${password}@127.0.0.1:${server.port}`

  test('who may not read settings is told so, and of the rest what can be known', async () => {
    await set([...DEFAULTS, ['maxmemory-policy', 'allkeys-lfu']])
    await redis.call('ACL', 'SETUSER', 'tenant', 'on', '>geheim', '~*', '&*', '+@all', '-config')
    const findings = await diagnose({ redis: url('tenant', 'geheim') })
    expect(ofCode(findings, 'redis-eviction')).toEqual([['error', 'maxmemory-policy allkeys-lfu']])
    expect(ofCode(findings, 'redis-persistence')).toEqual([])
    const [[level, what] = []] = ofCode(findings, 'redis-config')
    expect(level).toBe('info')
    expect(what).toContain('cannot be read here: persistence, appendfsync')
    expect(JSON.stringify(findings)).not.toContain('geheim')
  })

  test('with a wrong password is refused, and no password is shown', async () => {
    await redis.call('ACL', 'SETUSER', 'tenant', 'on', '>geheim', '~*', '&*', '+@all')
    const findings = await diagnose({ redis: url('tenant', 'wrongly') })
    expect(findings).toMatchObject([{ level: 'error', code: 'redis-reachable' }])
    expect(findings[0]?.what).toContain('WRONGPASS')
    expect(findings[0]?.fix).toContain('REDIS_URL')
    expect(JSON.stringify(findings)).not.toMatch(/geheim|wrongly/)
  })
})

test('nothing listens: one error, at once', async () => {
  const port = await freePort()
  const findings = await diagnose({ redis: `redis://:geheim@127.0.0.1:${port}` })
  expect(findings).toMatchObject([{ level: 'error', code: 'redis-reachable', subject: 'redis' }])
  expect(findings[0]?.what).toContain('ECONNREFUSED')
  expect(JSON.stringify(findings)).not.toContain('geheim')
})

test('it changes nothing', async () => {
  await redis.flushall()
  await set(DEFAULTS)
  // Redis answers in no order: its dictionary may be resized between the two calls.
  const settings = async () => {
    const answer = (await redis.config('GET', '*')) as string[]
    return answer.flatMap((name, at) => (at % 2 === 0 ? [`${name} ${answer[at + 1]}`] : [])).sort()
  }
  const before = await settings()
  await diagnose()
  expect(await settings()).toEqual(before)
  expect(await redis.dbsize()).toBe(0)
})
