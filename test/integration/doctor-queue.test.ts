import { afterEach, beforeEach, expect, jest, test } from '@jest/globals'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { RedisBrake } from '../../src/brake/redis-brake.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { asOrderExpiryError } from '../../src/errors.ts'
import { reportClocks } from '../../src/queue/clock-reports.ts'
import { diagnoseQueue } from '../../src/queue/diagnosis/queue.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { complaints, fixesOf, ofCode } from '../helpers/findings.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

let raw: RawQueue
let worker: Worker | undefined

beforeEach(() => {
  raw = new RawQueue()
})
afterEach(async () => {
  await worker?.close(true)
  worker = undefined
  await raw.close()
})

function diagnose(redis = redisUrl()): Promise<Finding[]> {
  return diagnoseQueue({ redis, queue: namedQueue({ name: raw.name }), clock: systemClock })
}

async function startWorker(): Promise<void> {
  worker = new Worker(raw.name, async () => {}, { connection: { url: redisUrl(), maxRetriesPerRequest: null } })
  worker.on('error', () => {})
  await worker.waitUntilReady()
  await eventually('it is in the list', async () => (await raw.queue.getWorkers()).length > 0)
}

const add = (id: string, options: { delay?: number; timestamp?: number } = {}) =>
  raw.queue.add('check-payment', { orderId: id, deadline: 1 }, { jobId: `order-${id}`, ...options })

test('an empty queue with a worker is in order', async () => {
  await startWorker()
  const findings = await diagnose()
  expect(complaints(findings)).toEqual([])
  expect(ofCode(findings, 'queue-worker')).toEqual([['ok', '1 worker connected']])
  expect(ofCode(findings, 'queue-counts')[0]?.[1]).toBe(
    '0 waiting for their deadline, 0 due, 0 being checked, 0 finished, 0 failed',
  )
})

test('nothing is written, not even into the empty queue', async () => {
  const queueName = uniqueName('empty')
  await diagnoseQueue({ redis: redisUrl(), queue: namedQueue({ name: queueName }), clock: systemClock })
  expect(await raw.redis.keys(`bull:${queueName}*`)).toEqual([])
})

test('without a worker: told of an empty queue, warned of orders that wait, an error once one is due', async () => {
  const level = async () => ofCode(await diagnose(), 'queue-worker')[0]?.[0]
  expect(await level()).toBe('info')
  await add('a', { delay: 3_600_000 })
  expect(await level()).toBe('warning')
  await add('b')
  expect(await level()).toBe('error')
  await startWorker()
  await eventually('b is done', async () => (await raw.queue.getCompletedCount()) > 0)
  expect(complaints(await diagnose())).toEqual([])
})

test('a check that was due long ago is an error, whether it is delayed or waits', async () => {
  await add('a', { timestamp: Date.now() - 600_000, delay: 300_000 })
  const delayed = await diagnose()
  expect(ofCode(delayed, 'queue-overdue')).toEqual([['error', 'the oldest check was due 5 min ago']])
  expect(ofCode(delayed, 'queue-worker')).toEqual([['error', 'no worker is connected']])
  expect(fixesOf(delayed, 'queue-overdue')).toEqual(['order-expiry start'])
  await add('b', { timestamp: Date.now() - 900_000 })
  expect(ofCode(await diagnose(), 'queue-overdue')).toEqual([['error', 'the oldest check was due 15 min ago']])
  await startWorker()
  await eventually('both are done', async () => (await raw.queue.getCompletedCount()) === 2)
  expect(complaints(await diagnose())).toEqual([])
})

test('a paused queue is a warning until it is resumed', async () => {
  await startWorker()
  await raw.queue.pause()
  expect(ofCode(await diagnose(), 'queue-paused')).toEqual([['warning', 'is paused']])
  await raw.queue.resume()
  expect(ofCode(await diagnose(), 'queue-paused')).toEqual([['ok', 'not paused']])
})

test('a check left half done by a worker that is gone is a warning, until one takes it over', async () => {
  const job = await add('a')
  const key = `bull:${raw.name}`
  await raw.redis.lmove(`${key}:wait`, `${key}:active`, 'RIGHT', 'LEFT')
  await raw.redis.hset(`${key}:${job.id}`, 'processedOn', Date.now() - 60_000)
  expect(ofCode(await diagnose(), 'queue-stuck')).toEqual([
    ['warning', '1 check begun and not finished, by a worker that is gone'],
  ])
  await raw.redis.set(`${key}:${job.id}:lock`, 'token')
  expect(ofCode(await diagnose(), 'queue-stuck')[0]?.[0]).toBe('ok')
})

test('checks that were given up are a warning, with their error codes and nothing else of them', async () => {
  const reasons = ['STORE_REJECTED: row 1', 'STORE_REJECTED: row 2', 'password=geheim', 'INVALID_JOB: no orderId']
  for (const [index, reason] of reasons.entries()) {
    const job = await add(`f${index}`)
    await raw.redis.hset(`bull:${raw.name}:${job.id}`, 'failedReason', reason)
    await raw.redis.lrem(`bull:${raw.name}:wait`, 1, job.id as string)
    await raw.redis.zadd(`bull:${raw.name}:failed`, Date.now(), job.id as string)
  }
  const findings = await diagnose()
  expect(ofCode(findings, 'queue-failed')).toEqual([
    ['warning', '4 checks failed for good (STORE_REJECTED × 2, INVALID_JOB × 1, OTHER × 1)'],
  ])
  expect(fixesOf(findings, 'queue-failed')).toEqual([
    'order-expiry replay --all --dry-run',
    'order-expiry replay --all',
    'order-expiry replay --code INVALID_JOB',
  ])
  expect(JSON.stringify(findings)).not.toContain('geheim')
})

test('an engaged brake is a warning until it is released', async () => {
  const brake = new RedisBrake({
    connection: { redis: raw.redis, explain: asOrderExpiryError },
    queue: namedQueue({ name: raw.name }),
  })
  await brake.engage('manual', 'somebody')
  expect(ofCode(await diagnose(), 'queue-brake')).toEqual([
    ['warning', expect.stringMatching(/^the brake is engaged, for \d s \(manual\)$/)],
  ])
  await brake.release('somebody', 1_000)
  expect(ofCode(await diagnose(), 'queue-brake')[0]?.[0]).toBe('ok')
  await raw.redis.del(namedQueue({ name: raw.name }).keys.brake)
})

test.each([
  ['the user may not use its keys', '~bull:*', '+@all', /^ACL SETUSER <user> ~\{bull:.*\}:\* \+eval$/],
  ['the user may not run a command of its scripts', '~*', '+@all -time', /^ACL SETUSER <user> /],
])('a brake that cannot be read is an error that says what to grant: %s', async (_, keys, commands, fix) => {
  const { hostname, port } = new URL(redisUrl())
  const admin = new Redis(redisUrl())
  await admin.call('ACL', 'SETUSER', raw.name, 'reset', 'on', '>geheim', keys, '&*', ...commands.split(' '))
  try {
    const findings = await diagnose(`redis://${raw.name}:geheim@${hostname}:${port}`)
    expect(ofCode(findings, 'queue-brake')).toEqual([['error', expect.stringMatching(/^the brake cannot be read: /)]])
    expect(fixesOf(findings, 'queue-brake')).toEqual([expect.stringMatching(fix)])
    expect(JSON.stringify(findings)).not.toContain('geheim')
  } finally {
    await admin.call('ACL', 'DELUSER', raw.name)
    admin.disconnect()
  }
})

test.each([
  ['a string', (key: string) => raw.redis.set(key, 'x')],
  ['a hash of somebody else', (key: string) => raw.redis.hset(key, { engaged: 'no' })],
])('a brake that is %s is an error, and not a brake that is released', async (_, write) => {
  const { brake } = namedQueue({ name: raw.name }).keys
  await write(brake)
  expect(ofCode(await diagnose(), 'queue-brake')).toEqual([['error', expect.stringMatching(/cannot be read/)]])
  await raw.redis.del(brake)
})

test('a running process whose clock differs is told of, until it withdraws that or is gone', async () => {
  const named = namedQueue({ name: raw.name })
  const source = { redis: raw.redis, keys: named.keys }
  expect(ofCode(await diagnose(), 'queue-clocks')[0]?.[0]).toBe('ok')

  await reportClocks(source, 'a:1', { redis: 3_000, store: 2_500 })
  expect(ofCode(await diagnose(), 'queue-clocks')).toEqual([
    ['warning', 'for a:1, the clock of Redis is 3.0 s ahead, the clock of the order store is 2.5 s ahead'],
  ])
  await reportClocks(source, 'b:2', { redis: -600_000, store: 0 })
  expect(ofCode(await diagnose(), 'queue-clocks')).toEqual([
    [
      'error',
      expect.stringMatching(/; for b:2, the clock of Redis is 600\.0 s behind, the clock of the order store agrees$/),
    ],
  ])
  await reportClocks(source, 'b:2')
  expect(ofCode(await diagnose(), 'queue-clocks')[0]?.[0]).toBe('warning')

  await raw.redis.hset(named.keys.clocks, 'a:1', JSON.stringify({ at: Date.now() - 31_000, redis: 3_000 }))
  expect(ofCode(await diagnose(), 'queue-clocks')[0]?.[0]).toBe('ok')
  expect(await raw.redis.pttl(named.keys.clocks)).toBeGreaterThan(0) // the last one leaves nothing behind
  await raw.redis.del(named.keys.clocks)
})

test('what is overdue is so by the clock of Redis, whatever the one here says', async () => {
  const clock = jest.spyOn(Date, 'now')
  const now = Date.now()
  for (const aheadMs of [600_000, -600_000]) {
    await raw.queue.add('check-payment', {}, { jobId: `job${aheadMs}`, timestamp: now - 60_000, delay: 100_000 })
    clock.mockReturnValue(now + aheadMs)
    expect(ofCode(await diagnose(), 'queue-overdue')[0]?.[1]).toBe('nothing is overdue')
  }
  clock.mockRestore()
})

test('where CLIENT LIST is not allowed, whether a worker is there is not known, and said so', async () => {
  const { hostname, port } = new URL(redisUrl())
  const admin = new Redis(redisUrl())
  await admin.call('ACL', 'SETUSER', raw.name, 'on', '>geheim', '~*', '&*', '+@all', '-client|list')
  try {
    const findings = await diagnose(`redis://${raw.name}:geheim@${hostname}:${port}`)
    expect(ofCode(findings, 'queue-worker')).toEqual([['info', 'cannot be told here: CLIENT LIST is not allowed']])
    expect(complaints(findings)).toEqual([])
  } finally {
    await admin.call('ACL', 'DELUSER', raw.name)
    admin.disconnect()
  }
})

test('a key of another type is a finding, not a crash', async () => {
  await raw.redis.set(`bull:${raw.name}:delayed`, 'x')
  const findings = await diagnose()
  expect(ofCode(findings, 'queue-keys')).toEqual([
    ['error', `somebody else has written keys of the queue: bull:${raw.name}:delayed is a string, not a zset`],
  ])
  expect(ofCode(findings, 'queue-counts')).toEqual([['info', expect.stringContaining('could not be looked at: ')]])
  await raw.redis.del(`bull:${raw.name}:delayed`)
})
