import { createServer, type Server } from 'node:net'
import { beforeEach, describe, expect, test } from '@jest/globals'
import { readConfig } from '../../src/config.ts'
import { createRelays } from '../../src/daemon/relays.ts'
import { EventBus, type Events } from '../../src/observe/events.ts'
import type { OutboxEvent } from '../../src/order/outbox.ts'
import { openSink, type SinkName } from '../../src/outbox/sinks.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { PostgresStore } from '../../src/stores/postgres/store.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { OrdersTable } from '../helpers/orders-table.ts'
import { quickClock } from '../helpers/quick-clock.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { Receiver } from '../helpers/receiver.ts'

let raw: RawQueue
let key: string
const ours = namedQueue({ name: uniqueName('ours') })
beforeEach(() => {
  raw = new RawQueue()
  key = uniqueName('stream')
  closing.push(async () => {
    await raw.redis.del(key)
    await raw.close()
  })
})

async function open(name: SinkName, { url = redisUrl(), clock = systemClock } = {}) {
  const chosen = { EVENT_STREAM: key, EVENT_QUEUE: raw.name }
  const settings = { ...chosen, WEBHOOK_URL: undefined, WEBHOOK_SECRET: undefined, WEBHOOK_ALLOW_PRIVATE: false }
  const sink = await openSink(name, settings, { source: '/shop', version: '0', redisAddress: url, queue: ours, clock })
  closing.push(() => sink.close())
  return sink
}

const eventOf = (id: string, orderId = 'a'): OutboxEvent => ({
  position: id,
  id,
  type: 'order.cancelled',
  orderId,
  at: 1_796_040_000_004,
  data: { at: 1_796_040_000_004 },
  failures: 0,
})
const CLOUD_EVENT = {
  specversion: '1.0',
  id: 'e-1',
  source: '/shop',
  type: 'order.cancelled',
  subject: 'a',
  time: '2026-11-30T12:00:00.004Z',
  datacontenttype: 'application/json',
  data: { orderId: 'a', at: '2026-11-30T12:00:00.004Z' },
}

describe('the stream', () => {
  const entries = async () =>
    (await raw.redis.xrange(key, '-', '+')).map(([, flat]) => {
      const fields: Record<string, string> = {}
      for (let n = 0; n < flat.length; n += 2) fields[flat[n] as string] = flat[n + 1] as string
      return fields
    })

  test('has the id, the type and the CloudEvent of each, as JSON', async () => {
    const sink = await open('stream')
    expect(await sink.deliver(eventOf('e-1'))).toEqual({ kind: 'delivered' })
    const [entry = {}] = await entries()
    expect({ ...entry, event: JSON.parse(entry.event ?? '') }).toEqual({
      id: 'e-1',
      type: 'order.cancelled',
      event: CLOUD_EVENT,
    })
  })

  test('keeps the events in the order in which they were delivered, however many at once', async () => {
    const sink = await open('stream')
    await Promise.all(Array.from({ length: 500 }, (_, n) => sink.deliver(eventOf(`e-${n}`))))
    expect((await entries()).map(({ id }) => id)).toEqual(Array.from({ length: 500 }, (_, n) => `e-${n}`))
  })

  test('is bounded', async () => {
    const fill = `for i = 1, 101000 do redis.call('XADD', KEYS[1], '*', 'id', i) end`
    await raw.redis.eval(fill, 1, key)
    const sink = await open('stream')
    expect(await sink.deliver(eventOf('e-1'))).toEqual({ kind: 'delivered' })
    expect(await raw.redis.xlen(key)).toBeLessThan(100_200)
    expect(await raw.redis.xlen(key)).toBeGreaterThanOrEqual(100_000)
  })

  test('that is something else by now takes nothing, and says why', async () => {
    await raw.redis.set(key, 'mine')
    const sink = await open('stream')
    expect(await sink.deliver(eventOf('e-1'))).toEqual({ kind: 'failed', why: expect.stringContaining('WRONGTYPE') })
  })
})

describe("the shop's queue", () => {
  test('has one job for each event, however often it is delivered', async () => {
    const sink = await open('queue')
    expect(await sink.deliver(eventOf('e-1'))).toEqual({ kind: 'delivered' })
    expect(await sink.deliver(eventOf('e-1'))).toEqual({ kind: 'delivered' })
    expect(await sink.deliver(eventOf('e-2'))).toEqual({ kind: 'delivered' })
    const jobs = await raw.queue.getJobs(['waiting'])
    expect(jobs.map(({ id }) => id).sort()).toEqual(['event-e-1', 'event-e-2'])
    const job = await raw.queue.getJob('event-e-1')
    expect(job).toMatchObject({ name: 'order.cancelled', data: CLOUD_EVENT, opts: { attempts: 10 } })
  })
})

describe.each(['stream', 'queue'] as const)('%s', (name) => {
  test('ends each attempt in time where Redis does not answer', async () => {
    const silent: Server = createServer((socket) => socket.on('error', () => {}))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    closing.push(() => silent.close())
    const { port } = silent.address() as { port: number }
    const sink = await open(name, { url: `redis://127.0.0.1:${port}`, clock: quickClock(50) })
    expect(await sink.deliver(eventOf('e-1'))).toEqual({ kind: 'failed', why: expect.stringContaining(`${port}`) })
  })

  test('fails where Redis is away', async () => {
    const sink = await open(name, { url: 'redis://127.0.0.1:1' })
    expect(await sink.deliver(eventOf('e-1'))).toEqual({
      kind: 'failed',
      why: expect.stringContaining('cannot be used'),
    })
  })
})

test('several sinks at once each get every event, and then it leaves the outbox', async () => {
  const table = await OrdersTable.create({ idType: 'text', hasTrigger: false })
  closing.push(() => table.drop())
  await table.migrate()
  const store = await PostgresStore.open(table.storeOptions())
  closing.push(() => store.close())
  const receiver = await Receiver.start()
  const env = { EVENT_STREAM: key, EVENT_QUEUE: raw.name, KEEP_EVENTS: '0', QUEUE_NAME: uniqueName('own') }
  const config = readConfig({ env: { REDIS_URL: redisUrl(), ...receiver.env, ...env }, dotenv: {} })
  const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
  closing.push(() => connection.close())
  const deadline = Date.now() - 1_000
  const ids = Array.from({ length: 300 }, (_, n) => `o-${n}`)
  await table.insert(ids.map((id) => ({ id, deadline })))
  await store.cancelUnpaid(ids.map((orderId) => ({ orderId, deadline })))
  const events = new EventBus()
  const failures: Events['event-failed'][] = []
  events.on('event-failed', (failure) => failures.push(failure))
  const relays = await createRelays({
    config,
    version: '0',
    outbox: store.deliveries as NonNullable<typeof store.deliveries>,
    redisAddress: redisUrl(),
    connection,
    queue: namedQueue({ name: config.QUEUE_NAME }),
    events,
    clock: systemClock,
  })
  expect(relays.map(({ name }) => name)).toEqual(['relay webhook', 'relay stream', 'relay queue'])
  for (const relay of relays) {
    await relay.start(new AbortController().signal)
    closing.push(() => relay.stop())
  }
  await eventually('all have all', async () => (await store.outbox()).events === 0)
  expect(await store.deliveries?.dropDelivered(0)).toBe(300)
  const sorted = (all: readonly { id?: string }[]) => all.map(({ id }) => id ?? '').sort()
  const wanted = sorted(receiver.events)
  expect(new Set(wanted).size).toBe(300)
  const inStream = (await raw.redis.xrange(key, '-', '+')).map(([, fields]) => JSON.parse(fields[5] ?? '{}'))
  expect(sorted(inStream)).toEqual(wanted)
  const jobs = await raw.queue.getJobs(['waiting'])
  expect(sorted(jobs.map(({ data }) => data))).toEqual(wanted)
  expect(failures).toEqual([])
})
