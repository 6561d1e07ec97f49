import { beforeEach, describe, expect, test } from '@jest/globals'
import { EventBus, type Events } from '../../src/observe/events.ts'
import { createRelay } from '../../src/outbox/relay.ts'
import { type Replayed, replayEvents } from '../../src/outbox/replay.ts'
import { askToReadAgain, Shares } from '../../src/outbox/shares.ts'
import { openSink } from '../../src/outbox/sinks.ts'
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
import { Receiver } from '../helpers/receiver.ts'

let table: OrdersTable
let store: PostgresStore
let receiver: Receiver
let sharesKey: string
beforeEach(async () => {
  table = await OrdersTable.create({ idType: 'text', hasTrigger: false })
  closing.push(() => table.drop())
  await table.migrate()
  store = await PostgresStore.open(table.storeOptions())
  closing.push(() => store.close())
  receiver = await Receiver.start()
  sharesKey = uniqueName('shares')
})

const NONE = { EVENT_STREAM: undefined, EVENT_QUEUE: undefined }

/** As in a process of its own. */
async function startRelay(
  options: {
    keepMs?: number
    unwanted?: string[]
    clock?: typeof systemClock
    url?: string
    allowPrivate?: boolean
  } = {},
) {
  const { keepMs = 0, unwanted = [], clock = systemClock, url = receiver.url, allowPrivate = true } = options
  const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
  closing.push(() => connection.close())
  const name = uniqueName('process')
  const shares = new Shares({ connection, key: sharesKey, holder: name, onError: () => {} })
  let numRenewals = 0
  const renew = shares.renew.bind(shares)
  shares.renew = (back) => {
    numRenewals++
    return renew(back)
  }
  const events = new EventBus()
  const failures: Events['event-failed'][] = []
  const gone: Events['sink-gone'][] = []
  events.on('event-failed', (failure) => failures.push(failure))
  events.on('sink-gone', (event) => gone.push(event))
  const settings = { WEBHOOK_URL: url, WEBHOOK_SECRET: [receiver.secret], WEBHOOK_ALLOW_PRIVATE: allowPrivate, ...NONE }
  const sink = await openSink('webhook', settings, {
    source: '/shop',
    version: '0',
    redisAddress: redisUrl(),
    queue: namedQueue({ name: sharesKey }),
    clock: systemClock,
  })
  const outbox = store.deliveries as NonNullable<typeof store.deliveries>
  const relay = createRelay({
    outbox,
    sink,
    sinks: ['webhook'],
    unwanted: new Set(unwanted),
    shares,
    keepMs,
    events,
    clock,
  })
  await relay.start(new AbortController().signal)
  closing.push(() => relay.stop())
  return { relay, shares, failures, gone, renewals: () => numRenewals }
}

async function cancel(orderIds: readonly string[]): Promise<void> {
  const deadline = Date.now() - 1_000
  await table.insert(orderIds.map((id) => ({ id, deadline })))
  await store.cancelUnpaid(orderIds.map((orderId) => ({ orderId, deadline })))
}

/** A further event of an order, as `order.cancelled` would be the only one. */
async function tell(orderId: string, type: string): Promise<void> {
  await table.pool.query(`INSERT INTO order_expiry_outbox (type, order_id, data) VALUES ($1, $2, '{}')`, [
    type,
    orderId,
  ])
}

const isEmpty = () => eventually('the outbox is empty', async () => (await table.outbox()).length === 0)
const ids = (count: number, prefix = 'o') => Array.from({ length: count }, (_, n) => `${prefix}-${n}`)
const idsOf = (events: readonly { subject: string }[]) => events.map(({ subject }) => subject)

test('each event arrives once, signed, as a CloudEvent, and then leaves the outbox', async () => {
  const orderIds = ids(600)
  await cancel(orderIds)
  const rows = await table.outbox()
  await startRelay()
  await receiver.got(600)
  await isEmpty()
  expect(idsOf(receiver.events).sort()).toEqual([...orderIds].sort())
  expect(receiver.refused).toEqual([])
  const row = rows.find(({ order_id }) => order_id === 'o-7')
  expect(receiver.events.find(({ subject }) => subject === 'o-7')).toEqual({
    specversion: '1.0',
    id: row?.event_id,
    source: '/shop',
    type: 'order.cancelled',
    subject: 'o-7',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    datacontenttype: 'application/json',
    data: {
      orderId: 'o-7',
      at: new Date(row?.data.at ?? 0).toISOString(),
      deadline: new Date(row?.data.deadline ?? 0).toISOString(),
      statusBefore: 'pending',
      decidedBy: 'check',
      table: expect.stringMatching(/orders$/),
    },
  })
  expect(receiver.headers[0]).toMatchObject({
    'content-type': 'application/cloudevents+json; charset=utf-8',
    'user-agent': 'order-expiry/0',
  })
})

test('processes divide the events between them, and take over from one that stops', async () => {
  const clock = quickClock(10)
  const first = await startRelay({ clock })
  const second = await startRelay({ clock })
  const held = () => [first, second].map(({ shares }) => shares.held.length)
  await eventually('both hold their half', () => String(held()) === '16,16')
  await cancel(ids(500))
  await receiver.got(500)
  await isEmpty()
  expect(receiver.events.length).toBe(500)
  await first.relay.stop()
  await eventually('the other holds all', () => second.shares.held.length === 32)
  await cancel(ids(100, 'later'))
  await receiver.got(600)
  await isEmpty()
  expect(receiver.events.length).toBe(600)
})

test('an event whose transaction ends after others were delivered is not lost', async () => {
  const client = await table.pool.connect()
  await client.query('BEGIN')
  await client.query(`INSERT INTO order_expiry_outbox (type, order_id, data) VALUES ('order.cancelled', 'slow', '{}')`)
  await startRelay({ clock: quickClock(10) })
  await cancel(ids(10))
  await receiver.got(10)
  await client.query('COMMIT')
  client.release()
  await receiver.got(11)
  expect(idsOf(receiver.events).at(-1)).toBe('slow')
})

test('an event that is refused holds up the later events of its order alone, and comes again under the same id', async () => {
  receiver.answer = ({ subject, type }, response, attempt) =>
    response.writeHead(subject === 'poison' && type === 'order.cancelled' && attempt <= 2 ? 500 : 200).end()
  await tell('poison', 'order.cancelled')
  await tell('poison', 'order.paid_late')
  await cancel(ids(50))
  const { failures } = await startRelay({ clock: quickClock(100) })
  await receiver.got(52)
  await isEmpty()
  const ofPoison = receiver.events.filter(({ subject }) => subject === 'poison')
  expect(ofPoison.map(({ type }) => type)).toEqual([
    'order.cancelled',
    'order.cancelled',
    'order.cancelled',
    'order.paid_late',
  ])
  expect(new Set(ofPoison.map(({ id }) => id)).size).toBe(2)
  expect(receiver.events.filter(({ subject }) => subject !== 'poison').length).toBe(50)
  expect(failures.map(({ why }) => why)).toEqual(['answered 500', 'answered 500'])
})

test('the number of failed attempts and the time of the next outlive the process', async () => {
  receiver.answer = (_event, response) => response.writeHead(503, { 'retry-after': '1800' }).end()
  await tell('a', 'order.cancelled')
  const { relay, failures } = await startRelay()
  await eventually('it has failed', () => failures.length === 1)
  expect(failures[0]?.retryInMs).toBe(1_800_000)
  await relay.stop()
  receiver.answer = (_event, response) => response.writeHead(200).end()
  await startRelay()
  await tell('b', 'order.cancelled')
  await receiver.got(2)
  expect(idsOf(receiver.events)).toEqual(['a', 'b'])
  const shares = Array.from({ length: 32 }, (_, share) => share)
  const page = await store.deliveries?.undelivered({ sink: 'webhook', after: undefined, shares, limit: 10 })
  const [event] = page?.events ?? []
  expect(event).toMatchObject({ orderId: 'a', failures: 1 })
})

test('after the last attempt an event is given up, stays in the outbox, and lets the next of its order pass', async () => {
  receiver.answer = ({ type }, response) => response.writeHead(type === 'bad' ? 400 : 200).end()
  await tell('a', 'bad')
  await tell('a', 'good')
  const { failures } = await startRelay({ clock: quickClock(1_000_000) })
  await receiver.got(2)
  expect(receiver.events.map(({ type }) => type)).toEqual([...Array.from({ length: 10 }, () => 'bad'), 'good'])
  expect(failures.at(-1)).toMatchObject({ retryInMs: undefined })
  await eventually('one is left', async () => (await table.outbox()).length === 1)
  expect(await store.outbox()).toMatchObject({ events: 0 }) // nobody waits for it any more
})

describe('a receiver that is away', () => {
  test('is asked by one attempt at a time, and gets everything once it is back', async () => {
    let isAway = true
    receiver.answer = (_event, response) => (isAway ? response.destroy() : response.writeHead(200).end())
    await cancel(ids(2_000))
    const { failures } = await startRelay({ clock: quickClock(20) })
    await eventually('some attempts have failed', () => failures.length >= 8)
    expect(failures.length).toBeLessThan(200)
    isAway = false
    await receiver.got(2_000, 60_000)
    await isEmpty()
    expect(failures[0]?.why).toMatch(/^no answer \(/)
  })

  test('that answers 410 is sent nothing more', async () => {
    receiver.answer = (_event, response) => response.writeHead(410).end()
    await tell('a', 'order.cancelled')
    const { gone, renewals } = await startRelay({ clock: quickClock(20) })
    await eventually('it is told', () => gone.length === 1)
    await tell('b', 'order.cancelled')
    const numSent = receiver.events.length
    const before = renewals()
    await eventually('it has had time to look several times', () => renewals() > before + 2)
    expect(receiver.events.length).toBe(numSent)
    expect((await table.outbox()).length).toBe(2)
  })
})

test('however many events in a row are refused, the others are not held up: the receiver is there', async () => {
  receiver.answer = ({ subject }, response) => response.writeHead(subject.startsWith('bad') ? 422 : 204).end()
  for (const orderId of ids(100, 'bad')) await tell(orderId, 'order.cancelled')
  await cancel(ids(50))
  await startRelay()
  await receiver.got(150)
})

test('answers that never end keep no connection', async () => {
  receiver.answer = (_event, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('.'), 50)
    response.on('close', () => clearInterval(timer))
  }
  await cancel(ids(200))
  await startRelay()
  await receiver.got(200)
  await isEmpty()
  expect(receiver.events.length).toBe(200)
})

test('redirects are not followed', async () => {
  const elsewhere = await Receiver.start()
  receiver.answer = (_event, response) => response.writeHead(307, { location: elsewhere.url }).end()
  await tell('a', 'order.cancelled')
  const { failures } = await startRelay()
  await eventually('it has failed', () => failures.length === 1)
  expect(failures[0]?.why).toBe('redirected (307), which is not followed')
  expect(elsewhere.refused.length + elsewhere.events.length).toBe(0)
})

test('a name that leads into a private network is not connected to', async () => {
  await tell('a', 'order.cancelled')
  const url = receiver.url.replace('127.0.0.1', 'localhost')
  const { failures } = await startRelay({ url, allowPrivate: false })
  await eventually('it has failed', () => failures.length === 1)
  expect(failures[0]?.why).toBe('no answer (EPRIVATE)')
  expect(receiver.events.length).toBe(0)
})

test('delivered events are kept if they are to be, and not sent again', async () => {
  await cancel(ids(20))
  const { relay } = await startRelay({ keepMs: 60_000 })
  await receiver.got(20)
  await relay.stop()
  expect((await table.outbox()).length).toBe(20)
  expect(await store.outbox()).toEqual({ events: 0, oldestAgeMs: undefined })
  await startRelay({ keepMs: 60_000 })
  await tell('new', 'order.cancelled')
  await receiver.got(21)
  expect(receiver.events.length).toBe(21)
})

test('what is not wanted counts as delivered, and is not sent', async () => {
  for (const orderId of ids(600)) await tell(orderId, 'order.kept')
  await tell('o-7', 'order.cancelled')
  await tell('o-8', 'not.known')
  await startRelay({ unwanted: ['order.kept'] })
  await receiver.got(2)
  await isEmpty()
  expect(receiver.events.map(({ subject, type }) => `${subject} ${type}`).sort()).toEqual([
    'o-7 order.cancelled',
    'o-8 not.known',
  ])
})

test('what is replayed is sent again within seconds, though all was read', async () => {
  let isBroken = true
  receiver.answer = (_event, response) => response.writeHead(isBroken ? 400 : 200).end()
  await tell('a', 'order.cancelled')
  const { relay, failures } = await startRelay({ clock: quickClock(1_000_000) })
  await eventually('it is given up', () => failures.length === 10)
  await relay.stop()
  isBroken = false
  // By its clock, it reads all of the outbox every ten minutes, which pass in 20 s, and in its first minute.
  const { renewals } = await startRelay({ clock: quickClock(30) })
  await eventually('more than two minutes have passed', () => renewals() > 45)
  const [{ event_id: id } = { event_id: '' }] = await table.outbox()
  const outbox = store.deliveries as NonNullable<typeof store.deliveries>
  const sent: string[] = []
  const onFound = ({ event }: Replayed) => sent.push(event.id)
  const again = { outbox, sinks: ['webhook'], only: 'given-up', onFound } as const
  await replayEvents({ ...again, dryRun: true })
  await replayEvents({ ...again, dryRun: false })
  await replayEvents({ ...again, dryRun: false })
  expect(sent).toEqual([id, id])
  const connection = new Connection({ address: redisUrl(), profile: commandProfile(redisUrl(), 5_000) })
  closing.push(() => connection.close())
  await askToReadAgain({ connection, key: sharesKey })
  await eventually('it has left the outbox', async () => (await table.outbox()).length === 0, 8_000)
  expect(receiver.events.map((event) => event.id)).toEqual(Array.from({ length: 11 }, () => id))
})
