import { describe, expect, test } from '@jest/globals'
import { OrderExpiry } from '../../src/index.ts'
import { diagnoseQueue } from '../../src/queue/diagnosis/queue.ts'
import { QueueView } from '../../src/queue/view/queue-view.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const HOUR = 3_600_000
const UNREADABLE: Record<string, Record<string, string>> = {
  'no-json': { data: '{"orderId": "17", "email": "a@b.example"' },
  'no-options': { opts: '{' },
  'null-options': { opts: 'null' },
  'no-progress': { progress: 'x' },
  'no-parent': { parent: 'x' },
}

describe.each(Object.entries(UNREADABLE))('an order whose check is %s', (_, fields) => {
  async function open() {
    const raw = new RawQueue()
    closing.push(() => raw.close())
    const queue = namedQueue({ name: raw.name })
    const client = new OrderExpiry({ redis: redisUrl(), queueName: raw.name })
    const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
    closing.push(async () => {
      await client.close()
      connection.close()
    })
    const deadline = Date.now() + HOUR
    await client.schedule({ orderId: '17', deadline })
    await raw.redis.hset(queue.keys.job('order-17'), fields)
    return { raw, client, deadline, view: new QueueView({ connection, queue }) }
  }

  test('is found, and explained', async () => {
    const { client, view } = await open()
    expect(await client.find('17')).toMatchObject({ check: { jobId: 'order-17', state: 'waiting' } })
    const { checks } = await view.recordsOf({ orderId: '17' })
    expect(checks[0]?.notes.map(({ what }) => what)).toEqual([
      expect.stringMatching(/^its check cannot be read, and fails with INVALID_JOB: \w+: expected /),
    ])
    expect(await view.forecast()).toMatchObject({ waiting: 1 })
  })

  test('gets a check that can be read by being rescheduled', async () => {
    const { client, raw, deadline } = await open()
    await client.reschedule({ orderId: '17', deadline: deadline + HOUR })
    expect((await raw.queue.getJob('order-17'))?.data).toEqual({ orderId: '17' })
    expect((await client.find('17'))?.check?.deadline).toEqual(new Date(deadline + HOUR))
  })

  test('is withdrawn', async () => {
    const { client, raw } = await open()
    expect(await client.withdraw('17')).toMatchObject({ result: 'withdrawn' })
    expect(await raw.queue.getDelayedCount()).toBe(0)
  })
})

test('doctor looks at a queue all the same, whatever its jobs hold', async () => {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const { keys, ...queue } = namedQueue({ name: raw.name })
  const kinds = { ...UNREADABLE, 'no-numbers': { timestamp: 'x', delay: 'x', processedOn: 'x' } }
  for (const [name, fields] of Object.entries(kinds)) {
    await raw.queue.add('check-payment', {}, { jobId: name })
    await raw.redis.hset(keys.job(name), fields)
    await raw.redis.lpush(keys.active, name)
    await raw.redis.zadd(keys.failed, Date.now(), name)
  }
  await raw.redis.set(keys.job('stranger'), 'x')
  await Promise.all([raw.redis.rpush(keys.wait, 'stranger'), raw.redis.lpush(keys.active, 'stranger')])
  const findings = await diagnoseQueue({ redis: redisUrl(), queue: { keys, ...queue }, clock: systemClock })
  expect(findings.map(({ code }) => code)).toContain('queue-failed')
  expect(findings.map(({ what }) => what).join(' ')).not.toMatch(/NaN|could not be checked/)
})
