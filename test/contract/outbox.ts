import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type Listing, NUM_SHARES, type Outbox, type OutboxEvent } from '../../src/order/outbox.ts'
import type { DecidedBy, KeptEvent } from '../../src/order/store.ts'

interface OutboxUnderTest {
  outbox: Outbox
  /** Of the store. */
  eventsOf(orderId: string, sinks: readonly string[]): Promise<KeptEvent[]>
  /** Cancels orders in turn, so that each writes its event after the one before. */
  cancel(orderIds: readonly string[], by?: DecidedBy): Promise<void>
  /** What is left of all events. */
  count(): Promise<number>
  /** How many notes of failed attempts there are of events that are not there any more. */
  notes(): Promise<number>
  /** Whether delivered events can be kept. */
  keeps: boolean
  /** Whether an event is known when it was delivered and is not kept. */
  remembersAdded: boolean
  /** Cancels an order, and commits it when the result is called, where transactions can stay open. */
  cancelSlowly?(orderId: string): Promise<() => Promise<void>>
  close(): Promise<void>
}

const ALL = Array.from({ length: NUM_SHARES }, (_, share) => share)
const one = { sink: 'webhook', sinks: ['webhook'], keep: false }

/** The contract of the port `Outbox`. Every adapter runs it. */
export function describeOutbox(name: string, open: () => Promise<OutboxUnderTest>): void {
  describe(`outbox: ${name}`, () => {
    let under: OutboxUnderTest
    let n = 0
    const nextIds = (count: number) => Array.from({ length: count }, () => `${++n}`)

    beforeAll(async () => {
      under = await open()
    })
    afterAll(() => under?.close())
    beforeEach(async () => {
      const sinks = ['webhook', 'stream']
      const rest = await under.outbox.list({ sinks, limit: 10_000 }) // those that were given up too
      const events = rest.map((event) => ({ ...event, data: {}, failures: 0 }))
      for (const sink of sinks) await under.outbox.delivered(events, { sink, sinks, keep: false })
      await under.outbox.dropDelivered(0)
    })

    async function read(asked: Partial<Parameters<Outbox['undelivered']>[0]> = {}): Promise<OutboxEvent[]> {
      const page = { sink: 'webhook', after: undefined, shares: ALL, limit: 100, ...asked }
      return (await under.outbox.undelivered(page)).events
    }
    const orderIdsOf = (events: readonly Pick<OutboxEvent, 'orderId'>[]) => events.map(({ orderId }) => orderId)

    test('tells of each event that is not delivered, in the order in which they were written, by the page', async () => {
      const ids = nextIds(5)
      await under.cancel(ids)
      const events = await read()
      expect(orderIdsOf(events)).toEqual(ids)
      expect(new Set(events.map(({ id }) => id)).size).toBe(5)
      expect(events[0]).toMatchObject({ type: 'order.cancelled', failures: 0, data: { deadline: expect.anything() } })
      expect(Math.abs((events[0]?.at ?? 0) - Date.now())).toBeLessThan(60_000)
      expect(events.map(({ data }) => data)).toMatchObject(
        ids.map(() => ({ statusBefore: 'pending', decidedBy: 'check' })),
      )
      const page = await read({ limit: 2 })
      const rest = await read({ after: page[1]?.position, limit: 100 })
      expect(orderIdsOf([...page, ...rest])).toEqual(ids)
    })

    test('says that a sweep has decided', async () => {
      await under.cancel(nextIds(1), 'sweep')
      expect((await read())[0]?.data).toMatchObject({ decidedBy: 'sweep' })
    })

    test('the shares divide the orders between them', async () => {
      const ids = nextIds(64)
      await under.cancel(ids)
      const halves = [ALL.slice(0, 16), ALL.slice(16)]
      const [some = [], others = []] = await Promise.all(
        halves.map(async (shares) => orderIdsOf(await read({ shares }))),
      )
      expect([...some, ...others].sort()).toEqual([...ids].sort())
      expect(Math.min(some.length, others.length)).toBeGreaterThan(10)
      expect(await read({ shares: [] })).toEqual([])
    })

    test('what is delivered is told no more, and is dropped', async () => {
      const ids = nextIds(3)
      await under.cancel(ids)
      const before = await under.count()
      await under.outbox.delivered((await read()).slice(0, 2), one)
      expect(orderIdsOf(await read())).toEqual(ids.slice(2))
      expect(await under.count()).toBe(before - 2)
    })

    test('delivered events are kept for as long as asked for, where that is possible', async () => {
      await under.cancel(nextIds(2))
      const before = await under.count()
      await under.outbox.delivered(await read(), { ...one, keep: true })
      expect(await read()).toEqual([])
      expect(await under.count()).toBe(under.keeps ? before : before - 2)
      await under.outbox.dropDelivered(3_600_000)
      expect(await under.count()).toBe(under.keeps ? before : before - 2)
      expect(await under.outbox.dropDelivered(0)).toBe(under.keeps ? 2 : 0)
      expect(await under.count()).toBe(before - 2)
    })

    test('an event that is no cancellation is put in once, by whomever, and under the same id when its delivered one is gone', async () => {
      const [orderId = ''] = nextIds(1)
      const data = { at: '2026-11-30T12:00:00.004Z', reason: 'quote " and \\ and é' }
      const event = { type: 'order.check_failed', orderId, key: 'a', data } as const
      await Promise.all(Array.from({ length: 8 }, () => under.outbox.add([event, event])))
      await under.outbox.add([{ ...event, data: {} }])
      const [first, ...more] = await read()
      expect(more).toEqual([])
      expect(first).toMatchObject({ type: 'order.check_failed', orderId, data, failures: 0 })
      expect(first?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/)
      expect(Math.abs((first?.at ?? 0) - Date.now())).toBeLessThan(60_000)
      await under.outbox.delivered([first as OutboxEvent], one)
      await under.outbox.add([event])
      expect((await read()).map(({ id }) => id)).toEqual(under.remembersAdded ? [] : [first?.id])
    })

    test('events differ by their type, their order or their key; one may be of no order', async () => {
      const [a = '', b = ''] = nextIds(2)
      const event = { type: 'order.kept', orderId: a, key: '1', data: {} } as const
      await under.outbox.add([])
      await under.outbox.add([event, { ...event, type: 'order.check_failed' }, { ...event, orderId: b }])
      await under.outbox.add([
        { ...event, key: '2' },
        { ...event, orderId: '' },
      ])
      const events = await read()
      expect(orderIdsOf(events).sort()).toEqual(['', a, a, a, b].sort())
      expect(new Set(events.map(({ id }) => id)).size).toBe(5)
    })

    test('thousands are put in at once, in their order', async () => {
      const ids = nextIds(2_000)
      await under.outbox.add(ids.map((orderId) => ({ type: 'order.kept', orderId, key: '', data: { status: 'paid' } })))
      expect(orderIdsOf(await read({ limit: 3_000 }))).toEqual(ids)
    })

    test('a failed attempt is remembered for this sink, with the time until the next', async () => {
      const ids = nextIds(2)
      await under.cancel(ids)
      const [first] = (await read()) as [OutboxEvent]
      await under.outbox.failed(
        { ...first, failures: 3 },
        { sink: 'webhook', retryInMs: 60_000, why: 'it\'s \\ "down"' },
      )
      const [again, other] = await read()
      expect(again).toMatchObject({ id: first.id, failures: 3 })
      expect(again?.waitMs).toBeGreaterThan(50_000)
      expect(again?.waitMs).toBeLessThanOrEqual(60_000)
      expect(other).toMatchObject({ failures: 0 })
      expect((await read({ sink: 'stream' }))[0]).toMatchObject({ id: first.id, failures: 0 })
      await under.outbox.delivered([first], one)
      expect(orderIdsOf(await read())).toEqual(ids.slice(1))
    })

    test('nothing is noted of an event that somebody else has delivered meanwhile', async () => {
      await under.cancel(nextIds(1))
      const [event] = (await read()) as [OutboxEvent]
      await under.outbox.delivered([event], one)
      await under.outbox.failed({ ...event, failures: 1 }, { sink: 'webhook', retryInMs: 1_000, why: 'answered 500' })
      expect(await under.notes()).toBe(0)
    })

    test('what is given up is told no more, but is not dropped, and other sinks still get it', async () => {
      const ids = nextIds(2)
      await under.cancel(ids)
      const [first] = (await read()) as [OutboxEvent]
      const before = await under.count()
      await under.outbox.failed(
        { ...first, failures: 10 },
        { sink: 'webhook', retryInMs: undefined, why: 'answered 500' },
      )
      expect(orderIdsOf(await read())).toEqual(ids.slice(1))
      expect(orderIdsOf(await read({ sink: 'stream' }))).toEqual(ids)
      await under.outbox.dropDelivered(0)
      expect(await under.count()).toBe(before)
    })

    test('of several sinks, each gets every event, and only then it is dropped', async () => {
      const ids = nextIds(2)
      const sinks = ['webhook', 'stream']
      await under.cancel(ids)
      const before = await under.count()
      const events = await read()
      await under.outbox.delivered(events, { sink: 'stream', sinks, keep: false })
      await under.outbox.delivered(events, { sink: 'stream', sinks, keep: false })
      expect(await read({ sink: 'stream' })).toEqual([])
      expect(orderIdsOf(await read())).toEqual(ids)
      await under.outbox.delivered(events, { sink: 'webhook', sinks, keep: false })
      await under.outbox.dropDelivered(0)
      expect(await read()).toEqual([])
      expect(await under.count()).toBe(before - 2)
    })

    describe('what is listed', () => {
      const sinks = ['webhook', 'stream']
      const list = (asked: Partial<Listing> = {}) => under.outbox.list({ sinks, limit: 100, ...asked })
      const fail = (event: OutboxEvent, failures: number, retryInMs?: number) =>
        under.outbox.failed({ ...event, failures }, { sink: 'webhook', retryInMs, why: 'answered 500' })
      const near = (ms: number | undefined, wanted: number) => expect(Math.abs((ms ?? 0) - wanted)).toBeLessThan(60_000)

      test('is each event that not all sinks have got, with its deliveries', async () => {
        const ids = nextIds(4)
        await under.cancel(ids)
        const [tried, lost, got] = (await read()) as [OutboxEvent, OutboxEvent, OutboxEvent]
        await fail(tried, 2, 3_600_000)
        await fail(lost, 10)
        await under.outbox.delivered([got], { sink: 'webhook', sinks, keep: true })
        const listed = await list()
        expect(orderIdsOf(listed)).toEqual(ids)
        expect(listed[0]).toMatchObject({ id: tried.id, position: tried.position, type: 'order.cancelled' })
        near(listed[0]?.at, Date.now())
        const fresh = { state: 'waiting', failures: 0 }
        const why = 'answered 500'
        expect(listed.map(({ deliveries }) => deliveries)).toMatchObject([
          [
            { sink: 'webhook', state: 'waiting', failures: 2, why },
            { sink: 'stream', ...fresh },
          ],
          [
            { sink: 'webhook', state: 'given-up', failures: 10, why },
            { sink: 'stream', ...fresh },
          ],
          [
            { sink: 'webhook', state: 'delivered' },
            { sink: 'stream', ...fresh },
          ],
          [
            { sink: 'webhook', ...fresh },
            { sink: 'stream', ...fresh },
          ],
        ])
        near(listed[0]?.deliveries[0]?.at, Date.now() + 3_600_000)
        near(listed[1]?.deliveries[0]?.at, Date.now())
        near(listed[2]?.deliveries[0]?.at, Date.now())
        expect(listed[3]?.deliveries[0]?.at).toBeUndefined()
      })

      test('can be what was given up, one order or one event, by the page', async () => {
        const ids = nextIds(3)
        await under.cancel(ids)
        const [first, second] = (await read()) as [OutboxEvent, OutboxEvent]
        await fail(second, 10)
        const idsOf = async (asked: Partial<Listing>) => (await list(asked)).map(({ orderId }) => orderId)
        expect(await idsOf({ only: 'given-up' })).toEqual([ids[1]])
        expect(await idsOf({ only: 'given-up', sinks: ['stream'] })).toEqual([])
        expect(await idsOf({ only: { orderId: ids[2] as string } })).toEqual([ids[2]])
        expect(await idsOf({ only: { id: first.id } })).toEqual([ids[0]])
        expect(await idsOf({ only: { id: 'none' } })).toEqual([])
        expect(await idsOf({ limit: 2 })).toEqual(ids.slice(0, 2))
        expect(await idsOf({ after: second.position })).toEqual(ids.slice(2))
      })

      test('has what all have got only where it is asked for by order or id, and kept', async () => {
        const ids = nextIds(1)
        await under.cancel(ids)
        const events = await read()
        await under.outbox.delivered(events, { ...one, keep: true })
        expect(await list({ sinks: ['webhook'] })).toEqual([])
        const kept = await list({ sinks: ['webhook'], only: { orderId: ids[0] as string } })
        expect(kept.map(({ deliveries }) => deliveries[0]?.state)).toEqual(under.keeps ? ['delivered'] : [])
        if (under.keeps) near(kept[0]?.deliveries[0]?.at, Date.now())
      })

      test('is sent again once it is replayed, with new attempts, and to that sink alone', async () => {
        const ids = nextIds(3)
        await under.cancel(ids)
        const [lost, tried, got] = (await read()) as [OutboxEvent, OutboxEvent, OutboxEvent]
        await fail(lost, 10)
        await fail(tried, 3, 3_600_000)
        await under.outbox.delivered([got], { sink: 'webhook', sinks, keep: true })
        await under.outbox.delivered([lost, tried, got], { sink: 'stream', sinks, keep: true })
        await under.outbox.replay([lost, tried], { sink: 'webhook' })
        const again = await read()
        expect(again.map(({ id }) => id)).toEqual([lost.id, tried.id])
        expect(again.map(({ failures, waitMs }) => [failures, waitMs || 0])).toEqual([
          [0, 0],
          [0, 0],
        ])
        expect(await read({ sink: 'stream' })).toEqual([])
        await under.outbox.replay([], { sink: 'webhook' })
        await under.outbox.replay(again, { sink: 'stream' })
        expect((await read({ sink: 'stream' })).map(({ id }) => id)).toEqual([lost.id, tried.id])
        if (!under.keeps) return
        await under.outbox.replay([got], { sink: 'webhook' })
        expect((await read()).map(({ id }) => id)).toEqual([lost.id, tried.id, got.id])
        expect((await read({ sink: 'stream' })).map(({ id }) => id)).toEqual([lost.id, tried.id])
      })

      test('is told with the events of an order', async () => {
        const ids = nextIds(1)
        await under.cancel(ids)
        const [event] = (await read()) as [OutboxEvent]
        await fail(event, 4, 3_600_000)
        const [told] = await under.eventsOf(ids[0] as string, sinks)
        expect(told).toMatchObject({ id: event.id, type: 'order.cancelled' })
        expect(told?.deliveries).toMatchObject([
          { sink: 'webhook', state: 'waiting', failures: 4, why: 'answered 500' },
          { sink: 'stream', state: 'waiting', failures: 0 },
        ])
        expect((await under.eventsOf(ids[0] as string, []))[0]).not.toHaveProperty('deliveries')
        await under.outbox.delivered([event], { ...one, keep: true })
        const [after] = await under.eventsOf(ids[0] as string, ['webhook'])
        expect(after?.deliveries?.map(({ state }) => state)).toEqual(under.keeps ? ['delivered'] : [])
      })
    })

    test('an event whose transaction ends late appears before others that were read already', async () => {
      if (!under.cancelSlowly) return
      const [slow = '', ...ids] = nextIds(3)
      const commit = await under.cancelSlowly(slow)
      await under.cancel(ids)
      expect(orderIdsOf(await read())).toEqual(ids)
      await commit()
      expect(orderIdsOf(await read())).toEqual([slow, ...ids])
    })
  })
}
