import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { OrderStore } from '../../src/order/store.ts'
import { eventually } from '../helpers/eventually.ts'

/** What the suite needs of an adapter beside the port itself: a shop that places and pays orders. */
interface StoreUnderTest {
  store: OrderStore
  /** An id that the store can hold, a different one for each `n`. */
  id(n: number): string
  /** Places unpaid orders. */
  place(orders: readonly { orderId: string; deadline: number }[]): Promise<void>
  pay(orderId: string): Promise<void>
  /** The ids of the orders of which a cancellation has been announced, once for each announcement. */
  announced(): Promise<string[]>
  /** How the store words these statuses. Default: as they are called here. */
  statuses?: Record<'pending' | 'paid' | 'cancelled', string>
  /** How exact the deadlines of the store are, in milliseconds. Default 1. */
  unitMs?: number
  /** Whether the store keeps when an order became paid. */
  keepsPayments: boolean
  /** How often a status has changed, where the store can tell beside the port. */
  changes?(): Promise<number>
  /** Has somebody else lock an order until the result is called, where orders can be locked. */
  lock?(orderId: string): Promise<() => Promise<void>>
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

    const status = (name: 'pending' | 'paid' | 'cancelled') => under.statuses?.[name] ?? name
    const unitMs = () => under.unitMs ?? 1

    async function placed(deadline: number): Promise<{ orderId: string; deadline: number }> {
      const order = { orderId: nextId(), deadline: Math.floor(deadline / unitMs()) * unitMs() }
      await under.place([order])
      return order
    }

    test('cancels an unpaid order past its deadline, and announces it once', async () => {
      const order = await placed(Date.now() - 10)
      const [outcome] = await under.store.cancelUnpaid([order])
      expect(outcome).toMatchObject({
        kind: 'cancelled',
        evidence: { status: status('pending'), deadline: order.deadline, decidedAt: expect.any(Number) },
      })
      expect(outcome?.kind === 'cancelled' && outcome.at).toBeGreaterThanOrEqual(order.deadline)
      expect(await under.store.find([order.orderId])).toEqual([
        expect.objectContaining({
          orderId: order.orderId,
          status: status('cancelled'),
          cancelledAt: expect.any(Number),
        }),
      ])
      expect(await newlyAnnounced()).toEqual([order.orderId])
    })

    test('what is cancelled or paid is no longer among the unpaid', async () => {
      const deadline = 1_050_000_000_000
      const orders = [1, 2, 3].map((n) => ({ orderId: nextId(), deadline: deadline + n * unitMs() }))
      await under.place(orders)
      await under.store.cancelUnpaid(orders.slice(0, 1))
      await under.pay(orders[1]?.orderId as string)
      const left = await under.store.unpaidDueBefore(deadline + 3 * unitMs(), undefined, 1_000)
      const ours = left.map(({ orderId }) => orderId).filter((id) => orders.some(({ orderId }) => orderId === id))
      expect(ours).toEqual([orders[2]?.orderId])
    })

    test('an outbox, where there is one, tells of each announcement that nobody has taken, and of the age of the first', async () => {
      const before = await under.store.outbox?.()
      if (!before) return
      expect(before.events).toBe((await under.announced()).length)
      await under.store.cancelUnpaid([await placed(Date.now() - 10), await placed(Date.now() - 10)])
      const after = await under.store.outbox?.()
      expect(after?.events).toBe(before.events + 2)
      expect(after?.oldestAgeMs).toBeGreaterThanOrEqual(before.oldestAgeMs ?? 0)
      expect(after?.oldestAgeMs).toBeLessThan(HOUR)
    })

    test('keeps a paid order, however long its deadline has passed', async () => {
      const order = await placed(Date.now() - HOUR)
      await under.pay(order.orderId)
      expect(await under.store.cancelUnpaid([order])).toMatchObject([{ kind: 'kept', status: status('paid') }])
      expect(await under.store.find([order.orderId])).toMatchObject([{ status: status('paid') }])
      expect(await newlyAnnounced()).toEqual([])
    })

    test('does not cancel before the deadline, and says when to come again', async () => {
      const order = await placed(Date.now() + HOUR)
      expect(await under.store.cancelUnpaid([order])).toMatchObject([
        { kind: 'postponed', reason: 'not-due', until: order.deadline, evidence: { status: status('pending') } },
      ])
      expect(await under.store.find([order.orderId])).toMatchObject([{ status: status('pending') }])
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
      expect(again).toMatchObject([{ kind: 'kept', status: status('cancelled') }])
      expect(both.flat().filter(({ kind }) => kind === 'cancelled')).toHaveLength(1)
      expect(await newlyAnnounced()).toEqual([order.orderId])
    })

    test('an order that stands twice in a batch is cancelled once', async () => {
      const order = await placed(Date.now() - 10)
      expect(await under.store.cancelUnpaid([order, order])).toMatchObject([
        { kind: 'cancelled' },
        { kind: 'kept', status: status('cancelled') },
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
        expect.objectContaining({ orderId: order.orderId, status: status('pending'), deadline: order.deadline }),
      ])
    })

    test('tells with each order whether it is unpaid', async () => {
      const due = Date.now() - 10
      const orders = [due + HOUR, due, due, due].map((deadline) => ({ orderId: nextId(), deadline }))
      await under.place(orders)
      const [waiting, overdue, paid, cancelled] = orders.map(({ orderId }) => orderId) as [
        string,
        string,
        string,
        string,
      ]
      await under.pay(paid)
      await under.store.cancelUnpaid([{ orderId: cancelled, deadline: due }])
      const found = await under.store.find([waiting, overdue, paid, cancelled])
      expect(found.map((order) => order?.isUnpaid)).toEqual([true, true, false, false])
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
        expect(['cancelled', 'kept', 'postponed']).toContain(outcome.kind)
        expect(outcome.kind === 'cancelled').toBe(found[i]?.cancelledAt !== undefined)
      }
      const announced = await newlyAnnounced()
      expect(announced.sort()).toEqual(
        orders
          .filter((_, i) => found[i]?.cancelledAt !== undefined)
          .map(({ orderId }) => orderId)
          .sort(),
      )
    })

    test('pages through unpaid orders by deadline, those of one instant included, each once', async () => {
      const base = 1_100_000_000_000
      const orders = Array.from({ length: 25 }, (_, i) => ({
        orderId: nextId(),
        deadline: base + Math.floor(i / 7) * unitMs(),
      }))
      await under.place(orders)
      await under.pay(orders[3]?.orderId as string)
      const seen: string[] = []
      for (let after: { orderId: string; deadline: number } | undefined; ; ) {
        const page = await under.store.unpaidDueBefore(base + 2 * unitMs(), after, 4)
        seen.push(...page.filter(({ deadline }) => deadline >= base).map(({ orderId }) => orderId))
        after = page.at(-1)
        if (page.length < 4) break
      }
      const expected = orders
        .filter(({ deadline }, i) => deadline <= base + 2 * unitMs() && i !== 3)
        .map(({ orderId }) => orderId)
      expect(seen.toSorted()).toEqual(expected.toSorted())
      expect(new Set(seen).size).toBe(seen.length)
    })

    test('what has just fallen due is not in the backlog', async () => {
      const due = await placed(Date.now() - 1_000)
      const idsOf = async (backlog: boolean) =>
        (await under.store.unpaidDueBefore(Date.now(), undefined, 1_000, { backlog })).map(({ orderId }) => orderId)
      expect(await idsOf(false)).toContain(due.orderId)
      expect(await idsOf(true)).not.toContain(due.orderId)
    })

    describe('a dry run', () => {
      const dryRun = (checks: readonly { orderId: string; deadline: number }[]) =>
        under.store.cancelUnpaid(checks, { dryRun: true })

      test('says what then happens to every kind of order, and changes nothing itself', async () => {
        const due = await placed(Date.now() - 1_000)
        const paid = await placed(Date.now() - HOUR)
        await under.pay(paid.orderId)
        const gone = await placed(Date.now() - HOUR)
        await under.store.cancelUnpaid([gone])
        const later = await placed(Date.now() + HOUR)
        const missing = { orderId: nextId(), deadline: Date.now() - 10 }
        const checks = [due, paid, gone, later, missing]
        const orderIds = checks.map(({ orderId }) => orderId)
        const [found, announced, changes] = [
          await under.store.find(orderIds),
          await under.announced(),
          await under.changes?.(),
        ]

        const said = await dryRun(checks)
        expect(said).toMatchObject([
          {
            kind: 'cancelled',
            at: expect.any(Number),
            evidence: { status: status('pending'), deadline: due.deadline },
          },
          { kind: 'kept', status: status('paid') },
          { kind: 'kept', status: status('cancelled') },
          { kind: 'postponed', reason: 'not-due', until: later.deadline },
          { kind: 'missing' },
        ])
        expect(await under.store.find(orderIds)).toEqual(found)
        expect(await under.announced()).toEqual(announced)
        expect(await under.changes?.()).toBe(changes)

        const done = await under.store.cancelUnpaid(checks)
        const withoutTimes = (outcomes: typeof said) =>
          outcomes.map(({ evidence: { decidedAt, ...evidence }, ...outcome }) => ({
            ...outcome,
            ...('at' in outcome && { at: 'a time' }),
            evidence,
          }))
        expect(withoutTimes(done)).toEqual(withoutTimes(said))
        expect(done[0]?.evidence.decidedAt).toBeGreaterThanOrEqual(said[0]?.evidence.decidedAt as number)
      })

      test('says of an order that stands twice that each check would cancel it: neither has', async () => {
        const order = await placed(Date.now() - 10)
        expect(await dryRun([order, order])).toMatchObject([{ kind: 'cancelled' }, { kind: 'cancelled' }])
        expect(await under.store.find([order.orderId])).toMatchObject([{ status: status('pending') }])
      })

      test('may be repeated, and an order is still cancelled once after it', async () => {
        const order = await placed(Date.now() - 10)
        for (let n = 0; n < 3; n++) expect(await dryRun([order])).toMatchObject([{ kind: 'cancelled' }])
        expect(await newlyAnnounced()).toEqual([])
        expect(await under.store.cancelUnpaid([order])).toMatchObject([{ kind: 'cancelled' }])
        expect(await newlyAnnounced()).toEqual([order.orderId])
      })

      test("goes by the store's own deadline, not by the one on the check", async () => {
        const later = await placed(Date.now() + HOUR)
        const sooner = await placed(Date.now() - 10)
        expect(
          await dryRun([
            { orderId: later.orderId, deadline: 1_000_000_000_000 },
            { orderId: sooner.orderId, deadline: Date.now() + HOUR },
          ]),
        ).toMatchObject([{ kind: 'postponed', until: later.deadline }, { kind: 'cancelled' }])
      })

      test('answers a batch of 500 in its order, and an empty one', async () => {
        const orders = Array.from({ length: 500 }, (_, i) => ({
          orderId: nextId(),
          deadline: Date.now() + (i % 3 === 1 ? HOUR : -1_000),
        }))
        await under.place(orders.filter((_, i) => i % 3 !== 2))
        const outcomes = await dryRun(orders)
        expect(outcomes.map(({ kind }) => kind)).toEqual(
          orders.map((_, i) => ['cancelled', 'postponed', 'missing'][i % 3]),
        )
        expect(await dryRun([])).toEqual([])
      })

      test('waits for no lock and takes none', async () => {
        const order = await placed(Date.now() - 10)
        const unlock = await under.lock?.(order.orderId)
        try {
          expect(await dryRun([order])).toMatchObject([{ kind: 'cancelled' }])
          if (unlock) expect(await under.store.cancelUnpaid([order])).toMatchObject([{ reason: 'locked' }])
        } finally {
          await unlock?.()
        }
        const [said, done] = await Promise.all([dryRun([order]), under.store.cancelUnpaid([order])])
        expect(done).toMatchObject([{ kind: 'cancelled' }])
        expect(said).toMatchObject([{ kind: expect.stringMatching(/^(cancelled|kept)$/) }])
      })
    })

    test('tells when an order last became paid, if it keeps that', async () => {
      const order = await placed(Date.now() + HOUR)
      const before = await under.store.ping()
      await under.pay(order.orderId)
      const newest = await under.store.newestPayment()
      if (!under.keepsPayments) {
        expect(newest).toBeUndefined()
        return
      }
      // A time of payment may be finer than a millisecond.
      expect(newest).toBeGreaterThanOrEqual(before - 1)
      expect(newest).toBeLessThanOrEqual(await under.store.ping())
    })

    test('answers a ping with its time', async () => {
      const [before, now, after] = [Date.now(), await under.store.ping(), Date.now()]
      // It is on this machine, whose clock it goes by.
      expect(now).toBeGreaterThanOrEqual(before)
      expect(now).toBeLessThanOrEqual(after + 1)
      expect(Number.isInteger(now)).toBe(true)
    })
  })

  test(`order store: ${name}: knows of no payment before the first, then of the newest of several`, async () => {
    const under = await open()
    try {
      expect(await under.store.newestPayment()).toBeUndefined()
      const orders = [1, 2].map((n) => ({ orderId: under.id(n), deadline: Date.now() + HOUR }))
      await under.place(orders)
      await under.store.cancelUnpaid(orders)
      expect(await under.store.newestPayment()).toBeUndefined()
      const times: (number | undefined)[] = []
      for (const { orderId } of orders) {
        const before = await under.store.ping()
        await eventually('a later millisecond has come', async () => (await under.store.ping()) > before)
        await under.pay(orderId)
        times.push(await under.store.newestPayment())
      }
      if (under.keepsPayments) expect(times[1]).toBeGreaterThan(times[0] as number)
      else expect(times).toEqual([undefined, undefined])
      await under.pay(orders[0]?.orderId as string) // again: paid already
      expect(await under.store.newestPayment()).toBe(times[1])
    } finally {
      await under.close()
    }
  })
}
