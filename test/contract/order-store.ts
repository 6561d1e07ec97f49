import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { OrderStore } from '../../src/order/store.ts'

/** What the suite needs of an adapter beside the port itself: a shop that places and pays orders. */
export interface StoreUnderTest {
  store: OrderStore
  /** An id that the store can hold, a different one for each `n`. */
  id(n: number): string
  /** Places unpaid orders. */
  place(orders: readonly { orderId: string; deadline: number }[]): Promise<void>
  pay(orderId: string): Promise<void>
  /** The ids of the orders of which a cancellation has been announced, once for each announcement. */
  announced(): Promise<string[]>
  close(): Promise<void>
}

const HOUR = 3_600_000

/** The contract of the port `OrderStore`. Every adapter runs it. */
export function describeOrderStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`order store: ${name}`, () => {
    let under: StoreUnderTest
    let n = 0
    const nextId = () => under.id(++n)

    beforeAll(async () => {
      under = await open()
    })
    afterAll(() => under?.close())
    let announcedBefore = 0
    beforeEach(async () => {
      announcedBefore = (await under.announced()).length
    })
    const newlyAnnounced = async () => (await under.announced()).slice(announcedBefore)

    async function placed(deadline: number): Promise<{ orderId: string; deadline: number }> {
      const order = { orderId: nextId(), deadline }
      await under.place([order])
      return order
    }

    test('cancels an unpaid order past its deadline, and announces it once', async () => {
      const order = await placed(Date.now() - 10)
      const [outcome] = await under.store.cancelUnpaid([order])
      expect(outcome).toMatchObject({
        kind: 'cancelled',
        evidence: { status: 'pending', deadline: order.deadline, decidedAt: expect.any(Number) },
      })
      expect(outcome?.kind === 'cancelled' && outcome.at).toBeGreaterThanOrEqual(order.deadline)
      expect(await under.store.find([order.orderId])).toEqual([
        expect.objectContaining({ orderId: order.orderId, status: 'cancelled', cancelledAt: expect.any(Number) }),
      ])
      expect(await newlyAnnounced()).toEqual([order.orderId])
    })

    test('what is cancelled or paid is no longer among the unpaid', async () => {
      const deadline = 1_050_000_000_000 + Math.floor(Math.random() * 1e9)
      const orders = [1, 2, 3].map((n) => ({ orderId: nextId(), deadline: deadline + n }))
      await under.place(orders)
      await under.store.cancelUnpaid(orders.slice(0, 1))
      await under.pay(orders[1]?.orderId as string)
      const left = await under.store.unpaidDueBefore(deadline + 3, undefined, 1_000)
      const ours = left.map(({ orderId }) => orderId).filter((id) => orders.some(({ orderId }) => orderId === id))
      expect(ours).toEqual([orders[2]?.orderId])
    })

    test('keeps a paid order, however long its deadline has passed', async () => {
      const order = await placed(Date.now() - HOUR)
      await under.pay(order.orderId)
      expect(await under.store.cancelUnpaid([order])).toMatchObject([{ kind: 'kept', status: 'paid' }])
      expect(await under.store.find([order.orderId])).toMatchObject([{ status: 'paid' }])
      expect(await newlyAnnounced()).toEqual([])
    })

    test('does not cancel before the deadline, and says when to come again', async () => {
      const order = await placed(Date.now() + HOUR)
      expect(await under.store.cancelUnpaid([order])).toMatchObject([
        { kind: 'postponed', reason: 'not-due', until: order.deadline, evidence: { status: 'pending' } },
      ])
      expect(await under.store.find([order.orderId])).toMatchObject([{ status: 'pending' }])
    })

    test("the store's own deadline counts, not the one on the check", async () => {
      const later = await placed(Date.now() + HOUR)
      const sooner = await placed(Date.now() - 10)
      expect(
        await under.store.cancelUnpaid([
          { orderId: later.orderId, deadline: 1_000_000_000_000 },
          { orderId: sooner.orderId, deadline: Date.now() + HOUR },
        ]),
      ).toMatchObject([{ kind: 'postponed', reason: 'not-due', until: later.deadline }, { kind: 'cancelled' }])
    })

    test('cancels once: whoever comes second keeps it', async () => {
      const order = await placed(Date.now() - 10)
      const both = await Promise.all([under.store.cancelUnpaid([order]), under.store.cancelUnpaid([order])])
      const again = await under.store.cancelUnpaid([order])
      expect(again).toMatchObject([{ kind: 'kept', status: 'cancelled' }])
      expect(both.flat().filter(({ kind }) => kind === 'cancelled')).toHaveLength(1)
      expect(await newlyAnnounced()).toEqual([order.orderId])
    })

    test('an order that stands twice in a batch is cancelled once', async () => {
      const order = await placed(Date.now() - 10)
      expect(await under.store.cancelUnpaid([order, order])).toMatchObject([
        { kind: 'cancelled' },
        { kind: 'kept', status: 'cancelled' },
      ])
      expect(await newlyAnnounced()).toEqual([order.orderId])
    })

    test('answers a batch of 500 in its order, whatever is among them', async () => {
      const orders = Array.from({ length: 500 }, (_, i) => ({
        orderId: nextId(),
        deadline: Date.now() + (i % 5 === 1 ? HOUR : -1_000),
      }))
      await under.place(orders.filter((_, i) => i % 5 !== 2))
      await Promise.all(orders.map(({ orderId }, i) => (i % 5 === 3 ? under.pay(orderId) : undefined)))
      const outcomes = await under.store.cancelUnpaid(orders)
      expect(outcomes.map(({ kind }) => kind)).toEqual(
        orders.map((_, i) => ['cancelled', 'postponed', 'missing', 'kept', 'cancelled'][i % 5]),
      )
      const cancelled = orders.filter((_, i) => i % 5 === 0 || i % 5 === 4).map(({ orderId }) => orderId)
      expect((await newlyAnnounced()).sort()).toEqual(cancelled.sort())
    })

    test('an order that is not there is missing, alone', async () => {
      const order = await placed(Date.now() - 10)
      expect(await under.store.cancelUnpaid([{ orderId: nextId(), deadline: 0 }, order])).toMatchObject([
        { kind: 'missing', evidence: { decidedAt: expect.any(Number) } },
        { kind: 'cancelled' },
      ])
    })

    test('an empty batch has no outcomes', async () => {
      expect(await under.store.cancelUnpaid([])).toEqual([])
    })

    test('finds orders in the order asked for, and undefined for those that are not there', async () => {
      const order = await placed(Date.now() + HOUR)
      expect(await under.store.find([nextId(), order.orderId])).toEqual([
        undefined,
        expect.objectContaining({ orderId: order.orderId, status: 'pending', deadline: order.deadline }),
      ])
    })

    test('a payment at the same moment wins or loses, but never both', async () => {
      const orders = Array.from({ length: 200 }, () => ({ orderId: nextId(), deadline: Date.now() - 10 }))
      await under.place(orders)
      const [outcomes] = await Promise.all([
        under.store.cancelUnpaid(orders),
        ...orders.map(({ orderId }) => under.pay(orderId)),
      ])
      const found = await under.store.find(orders.map(({ orderId }) => orderId))
      for (const [i, outcome] of outcomes.entries()) {
        if (outcome.kind === 'cancelled') expect(found[i]?.status).toBe('cancelled')
        else expect(['kept', 'postponed']).toContain(outcome.kind)
        if (found[i]?.status === 'paid') expect(outcome.kind).not.toBe('cancelled')
      }
      const announced = await newlyAnnounced()
      expect(announced.sort()).toEqual(
        orders
          .filter((_, i) => found[i]?.status === 'cancelled')
          .map(({ orderId }) => orderId)
          .sort(),
      )
    })

    test('pages through unpaid orders by deadline, those of one instant included, each once', async () => {
      const base = 1_100_000_000_000 + Math.floor(Math.random() * 1e9)
      const orders = Array.from({ length: 25 }, (_, i) => ({ orderId: nextId(), deadline: base + Math.floor(i / 7) }))
      await under.place(orders)
      await under.pay(orders[3]?.orderId as string)
      const seen: string[] = []
      for (let after: { orderId: string; deadline: number } | undefined; ; ) {
        const page = await under.store.unpaidDueBefore(base + 2, after, 4)
        seen.push(...page.filter(({ deadline }) => deadline >= base).map(({ orderId }) => orderId))
        after = page.at(-1)
        if (page.length < 4) break
      }
      const expected = orders.filter(({ deadline }, i) => deadline <= base + 2 && i !== 3).map(({ orderId }) => orderId)
      expect(seen.toSorted()).toEqual(expected.toSorted())
      expect(new Set(seen).size).toBe(seen.length)
    })

    test('can be pinged', async () => {
      await expect(under.store.ping()).resolves.toBeUndefined()
    })
  })
}
