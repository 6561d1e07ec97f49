import { describe, expect, test } from '@jest/globals'
import type { OrderExpiry, OrderExpiryOptions } from '../../src/index.ts'

const MINUTE = 60_000
const YEAR = 366 * 24 * 60 * MINUTE

export interface ShopOptions {
  orders?: OrderExpiryOptions['orders'] | undefined
  paymentTimeout?: string
}

/** A client, and what the contract must do and see beside it. Times are epoch milliseconds by the clock of the client. */
interface Shop {
  shop: OrderExpiry
  now(): number
  /** At least a millisecond has passed, and nothing has fallen due. */
  passTime(): Promise<void>
  /** How many orders have a check that has not finished. */
  checks(): Promise<number>
  /** What is due has been settled. */
  settle(): Promise<void>
  /** Puts an order into the shop's own table. */
  place(orderId: string, status: 'pending' | 'paid'): void
  /** Its status there. */
  statusOf(orderId: string): string | undefined
}

/** What each client promises, with each way in which orders are recorded. */
export function orderExpiryContract(openShop: (options: ShopOptions) => Promise<Shop>): void {
  for (const orders of [undefined, 'redis'] as const) {
    describe(orders ? 'orders recorded here' : "orders in the shop's own table", () => {
      const open = (options: ShopOptions = {}) => openShop({ ...options, ...(orders && { orders }) })
      schedulingContract(open)
      refusingContract(open)
      settlingContract(open, { orders })
      if (orders) recordingContract(open)
      else tableContract(open)
    })
  }
}

type Open = (options?: ShopOptions) => Promise<Shop>

function schedulingContract(open: Open): void {
  test.each([
    ['a Date', (now: number) => new Date(now + MINUTE), MINUTE],
    ['epoch milliseconds', (now: number) => now + MINUTE, MINUTE],
    [
      'ISO 8601 with an offset',
      (now: number) => new Date(now + MINUTE + 3_600_000).toISOString().replace('Z', '+01:00'),
      MINUTE,
    ],
    ['a time-out', () => '15m', 15 * MINUTE],
    ['nothing: five minutes', () => undefined, 5 * MINUTE],
  ])('a deadline can be given as %s', async (_, input, aheadMs) => {
    const { shop, now } = await open()
    const before = now()
    const deadline = input(before)
    const result = await shop.schedule({ orderId: 'x', ...(deadline !== undefined && { deadline }) })
    expect(result.deadline.getTime()).toBeGreaterThanOrEqual(before + aheadMs - 1)
    expect(result.deadline.getTime()).toBeLessThanOrEqual(now() + aheadMs)
  })

  test('scheduling again is harmless: unchanged for the same deadline, conflict for another, and nothing moves', async () => {
    const { shop, checks, now } = await open()
    const deadline = now() + MINUTE
    await shop.schedule({ orderId: 'a', deadline })
    expect(await shop.schedule({ orderId: 'a', deadline })).toMatchObject({
      result: 'unchanged',
      deadline: new Date(deadline),
    })
    expect(await shop.schedule({ orderId: 'a', deadline: deadline + MINUTE })).toEqual({
      orderId: 'a',
      result: 'conflict',
      deadline: new Date(deadline),
    })
    expect((await shop.find('a'))?.check?.deadline).toEqual(new Date(deadline))
    expect(await checks()).toBe(1)
  })

  test('the same time-out again is unchanged, another one a conflict, and the first one counts', async () => {
    const { shop, passTime } = await open({ paymentTimeout: '15m' })
    const same = [{ orderId: 'a', deadline: '15m' }, { orderId: 'a' }] // the default is a time-out as well
    const { deadline } = await shop.schedule({ orderId: 'a', deadline: '15m' })
    await passTime()
    for (const item of same) expect(await shop.schedule(item)).toEqual({ orderId: 'a', result: 'unchanged', deadline })
    expect(await shop.scheduleMany(same)).toMatchObject(same.map(() => ({ result: 'unchanged', deadline })))
    expect(await shop.schedule({ orderId: 'a', deadline: '16m' })).toMatchObject({ result: 'conflict', deadline })
    const instant = new Date(deadline.getTime() + 1)
    expect(await shop.schedule({ orderId: 'a', deadline: instant })).toMatchObject({ result: 'conflict', deadline })
    await shop.reschedule({ orderId: 'a', deadline: '1h' })
    expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toMatchObject({ result: 'conflict' })
  })

  test('of calls at the same moment exactly one schedules', async () => {
    const { shop, now } = await open()
    const deadline = now() + MINUTE
    const results = await Promise.all(Array.from({ length: 20 }, () => shop.schedule({ orderId: 'a', deadline })))
    expect(results.map(({ result }) => result).sort()).toEqual(['scheduled', ...Array(19).fill('unchanged')])
  })

  test('an order is scheduled as it was when the call was made, whatever the caller does to the item later', async () => {
    const { shop, now } = await open()
    await shop.find('nobody') // connected
    const deadline = new Date(now() + MINUTE)
    const item = { orderId: 'a', deadline }
    const results = [shop.schedule({ orderId: 'first' }), shop.schedule(item)]
    item.orderId = 'b'
    deadline.setTime(deadline.getTime() + MINUTE)
    expect((await Promise.all(results))[1]).toMatchObject({
      orderId: 'a',
      deadline: new Date(deadline.getTime() - MINUTE),
    })
  })

  test('an item may be an object of a class, with accessors', async () => {
    const { shop } = await open()
    class Order {
      get orderId() {
        return 'a'
      }
      get deadline() {
        return '15m'
      }
    }
    expect(await shop.schedule(new Order())).toMatchObject({ orderId: 'a', result: 'scheduled' })
    expect(await shop.scheduleMany([new Order(), new Order()])).toMatchObject([{ orderId: 'a' }, { orderId: 'a' }])
  })

  test('scheduleMany takes lists with nothing in them, or with gaps', async () => {
    const { shop } = await open()
    expect(await shop.scheduleMany([])).toEqual([])
    const items = new Array<{ orderId: string }>(2)
    items[1] = { orderId: 'a' }
    expect(await shop.scheduleMany(items)).toMatchObject([
      { error: { code: 'INVALID_ORDER_ID' } },
      { orderId: 'a', result: 'scheduled' },
    ])
  })

  test('scheduleMany answers item by item, bad ones included, in chunks', async () => {
    const { shop, checks, now } = await open()
    const deadline = now() + MINUTE
    await shop.schedule({ orderId: 'o-7', deadline: deadline + 1 })
    const items = Array.from({ length: 2_500 }, (_, i) => ({ orderId: `o-${i}`, deadline }))
    const results = await shop.scheduleMany([
      ...items,
      { orderId: '', deadline },
      { orderId: 'late', deadline: now() - 2 * MINUTE },
      { orderId: 'o-8', deadline },
      { orderId: 'o-9', deadline: deadline + 5 },
    ])
    expect(results).toHaveLength(2_504)
    expect(results[0]).toEqual({ orderId: 'o-0', result: 'scheduled', deadline: new Date(deadline) })
    expect(results[7]).toEqual({ orderId: 'o-7', result: 'conflict', deadline: new Date(deadline + 1) })
    expect(results[2_500]).toMatchObject({ orderId: '', error: { code: 'INVALID_ORDER_ID' } })
    expect(results[2_501]).toMatchObject({ orderId: 'late', error: { code: 'INVALID_DEADLINE' } })
    expect(results[2_502]).toMatchObject({ orderId: 'o-8', result: 'unchanged' })
    expect(results[2_503]).toMatchObject({ orderId: 'o-9', result: 'conflict', deadline: new Date(deadline) })
    expect(results.filter((result) => 'result' in result && result.result === 'scheduled')).toHaveLength(2_499)
    expect(await checks()).toBe(2_500)
  })

  test('withdraw takes the check back, once', async () => {
    const { shop, checks } = await open()
    await shop.schedule({ orderId: 'a' })
    expect(await shop.withdraw('a')).toMatchObject({ orderId: 'a', result: 'withdrawn' })
    expect(await checks()).toBe(0)
    expect((await shop.withdraw('b')).result).toBe('missing')
    expect(await shop.schedule({ orderId: 'a' })).toMatchObject({ result: 'scheduled' })
  })

  test('find tells nothing of what it does not know', async () => {
    const { shop } = await open()
    expect(await shop.find('nobody')).toBeUndefined()
  })

  test.each([
    ['all digits', '1234'],
    ['colons', 'a:b:c:d'],
    ['three parts', 'a:b:c'],
    ['a path', '../x'],
    ['SQL', "o'; drop table orders; --"],
    ['emoji', '🎫🛒'],
    ['200 bytes', 'ü'.repeat(100)],
    ['percent signs', 'a%3Ab'],
    ['braces and globs', '{a}*?[]'],
  ])('an id of %s works, and is found again under the same id', async (_, orderId) => {
    const { shop, checks, now } = await open()
    const deadline = now() + MINUTE
    await shop.schedule({ orderId: 'a:b' })
    expect(await shop.schedule({ orderId, deadline })).toMatchObject({ orderId, result: 'scheduled' })
    expect(await shop.find(orderId)).toMatchObject({
      orderId,
      check: { state: 'waiting', deadline: new Date(deadline) },
    })
    expect(await checks()).toBe(2)
    expect(await shop.withdraw(orderId)).toMatchObject({ orderId, result: 'withdrawn' })
  })

  test('a deadline in the past is taken with allowPast', async () => {
    const { shop, checks, now } = await open()
    expect(await shop.schedule({ orderId: 'a', deadline: now() - 10 * MINUTE, allowPast: true })).toMatchObject({
      result: 'scheduled',
    })
    expect(await checks()).toBe(1)
    expect((await shop.find('a'))?.check?.state).toBe('due')
  })

  test('reschedule moves the deadline, earlier and later', async () => {
    const { shop, checks, now } = await open()
    const deadline = now() + 10 * MINUTE
    await shop.schedule({ orderId: 'a', deadline })
    for (const moved of [deadline - 5 * MINUTE, deadline + 5 * MINUTE]) {
      const result = { orderId: 'a', result: 'rescheduled', deadline: new Date(moved) }
      expect(await shop.reschedule({ orderId: 'a', deadline: moved })).toEqual(result)
      expect((await shop.find('a'))?.check).toMatchObject({ state: 'waiting', deadline: new Date(moved) })
    }
    const same = await shop.reschedule({ orderId: 'a', deadline: deadline + 5 * MINUTE })
    expect(same).toMatchObject({ result: 'unchanged' })
    expect(await checks()).toBe(1)
  })
}

function refusingContract(open: Open): void {
  test.each<[item: Record<string, unknown>, why: RegExp]>([
    [{ timeout: '15m' }, /"timeout"; did you mean deadline\?/],
    [{ expiresAt: new Date() }, /"expiresAt"; did you mean deadline\?/],
    [{ dead_line: '15m' }, /did you mean deadline\?/],
    [{ delay: 1_000 }, /did you mean deadline\?/],
    [{ timeout: undefined }, /did you mean deadline\?/],
    [{ deadline: '15m', timeout: '15m' }, /"timeout"; expected/],
    [{ deadline: '15m', total: 5 }, /expected orderId, deadline, allowPast, by/],
    [{ deadline: '15m', allowPast: 'no' }, /allowPast: expected true or false, given string/],
    [{ deadline: '15m', by: 7 }, /by: expected a string, given number/],
  ])('an order with %j is refused, in each call, and nothing is written', async (fields, why) => {
    const { shop, checks } = await open()
    const item = { orderId: 'a', ...fields } as { orderId: string; deadline: string }
    const refused = { code: 'INVALID_REQUEST', message: expect.stringMatching(why) }
    await expect(shop.schedule(item)).rejects.toMatchObject(refused)
    await expect(shop.reschedule(item)).rejects.toMatchObject(refused)
    expect(await shop.scheduleMany([item])).toMatchObject([{ orderId: 'a', error: refused }])
    await expect(shop.scheduleMany(item as never)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    expect(await checks()).toBe(0)
  })

  test('a bad order does not hold up those that are scheduled at the same time', async () => {
    const { shop, checks } = await open()
    const items = [{ orderId: 'a' }, { orderId: '' }, { orderId: 'b', deadline: Number.NaN }, null, { orderId: 'c' }]
    const results = await Promise.allSettled(items.map((item) => shop.schedule(item as { orderId: string })))
    expect(results).toMatchObject([
      { status: 'fulfilled', value: { orderId: 'a', result: 'scheduled' } },
      { status: 'rejected', reason: { code: 'INVALID_ORDER_ID' } },
      { status: 'rejected', reason: { code: 'INVALID_DEADLINE' } },
      { status: 'rejected', reason: { code: 'INVALID_ORDER_ID' } },
      { status: 'fulfilled', value: { orderId: 'c', result: 'scheduled' } },
    ])
    expect(await checks()).toBe(2)
  })

  test('reschedule wants the new deadline', async () => {
    const { shop, now } = await open()
    await shop.schedule({ orderId: 'a', deadline: '1h' })
    const without = { orderId: 'a' } as { orderId: string; deadline: string }
    await expect(shop.reschedule(without)).rejects.toMatchObject({ code: 'INVALID_DEADLINE' })
    expect((await shop.find('a'))?.check?.deadline?.getTime()).toBeGreaterThan(now() + 59 * MINUTE)
  })

  test.each([
    ['empty', ''],
    ['over 200 bytes', 'x'.repeat(201)],
    ['not a string', {}],
    ['no safe integer', 2 ** 60],
    ['a control character', 'a\nb'],
  ])('an order id that is %s is refused, and nothing is written', async (_, orderId) => {
    const { shop, checks } = await open()
    const bad = orderId as string
    await expect(shop.schedule({ orderId: bad })).rejects.toMatchObject({ code: 'INVALID_ORDER_ID' })
    await expect(shop.reschedule({ orderId: bad, deadline: '1m' })).rejects.toMatchObject({
      code: 'INVALID_ORDER_ID',
    })
    await expect(shop.withdraw(bad)).rejects.toMatchObject({ code: 'INVALID_ORDER_ID' })
    await expect(shop.find(bad)).rejects.toMatchObject({ code: 'INVALID_ORDER_ID' })
    expect(await checks()).toBe(0)
  })

  test.each([
    ['NaN', () => Number.NaN, 'NaN'],
    ['over a minute ago', (now: number) => now - MINUTE - 5_000, 'in the past'],
    ['over a year ahead', (now: number) => now + YEAR + MINUTE, 'over a year'],
    ['ISO without an offset', () => '2026-12-01T10:00:00', 'no offset'],
  ])('a deadline that is %s is refused, saying what was understood', async (_, deadline, message) => {
    const { shop, checks, now } = await open()
    await expect(shop.schedule({ orderId: 'a', deadline: deadline(now()) })).rejects.toMatchObject({
      code: 'INVALID_DEADLINE',
      message: expect.stringContaining(message),
    })
    expect(await checks()).toBe(0)
  })

  test('close comes once or twice, and later calls say so', async () => {
    const { shop } = await open()
    await shop.schedule({ orderId: 'a' })
    await shop.close()
    await shop.close()
    for (const call of [
      shop.schedule({ orderId: 'b' }),
      shop.scheduleMany([{ orderId: 'b' }]),
      shop.reschedule({ orderId: 'a', deadline: '1h' }),
      shop.withdraw('a'),
      shop.find('a'),
    ]) {
      await expect(call).rejects.toMatchObject({ code: 'CLOSED', retryable: false })
    }
  })
}

/** Orders that are due, one of each kind; with a table of the shop's own, `missing` is not in it. */
async function scheduleDue({ shop, now, place }: Shop, { orders }: ShopOptions): Promise<number> {
  const deadline = now() - 1
  for (const orderId of ['unpaid', 'paid', 'withdrawn', 'moved', 'missing']) {
    if (!orders && orderId !== 'missing') place(orderId, orderId === 'paid' ? 'paid' : 'pending')
    await shop.schedule({ orderId, deadline })
  }
  if (orders) await shop.pay('paid')
  await shop.withdraw('withdrawn')
  await shop.reschedule({ orderId: 'moved', deadline: '1h' })
  return deadline
}

function settlingContract(open: Open, { orders }: ShopOptions): void {
  test('what is due is cancelled if it is unpaid, kept if not; what is withdrawn or moved is not settled', async () => {
    const shop = await open()
    const deadline = await scheduleDue(shop, { orders })
    await shop.settle()
    const finished = (outcome: string) => ({
      jobId: expect.any(String),
      state: 'finished',
      deadline: new Date(deadline),
      scheduledAt: expect.any(Date),
      attempts: 1,
      finished: expect.objectContaining({
        outcome,
        deadline: new Date(deadline).toISOString(),
        decidedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        decidedBy: expect.any(String),
      }),
    })
    const found = async (orderId: string) => (await shop.shop.find(orderId))?.check
    expect(await found('unpaid')).toEqual(finished('cancelled'))
    expect(await found('paid')).toEqual(finished('kept'))
    expect(await found('missing')).toEqual(finished(orders ? 'cancelled' : 'missing'))
    expect(await found('withdrawn')).toBeUndefined()
    expect(await found('moved')).toMatchObject({ state: 'waiting', attempts: 0 })
    expect(await shop.checks()).toBe(1)
  })
}

function recordingContract(open: Open): void {
  test('pay says whether the money was in time, and a settled order is never revived', async () => {
    const { shop } = await open()
    await shop.schedule({ orderId: 'a' })
    expect(await shop.pay('a')).toEqual({ orderId: 'a', result: 'paid', paidAt: expect.any(Date) })
    expect(await shop.pay('a')).toMatchObject({ result: 'paid' })
    expect(await shop.reschedule({ orderId: 'a', deadline: '1h' })).toMatchObject({ result: 'settled', status: 'paid' })
    expect(await shop.withdraw('a')).toMatchObject({ result: 'settled', status: 'paid' })
    expect(await shop.schedule({ orderId: 'a', deadline: '2h' })).toMatchObject({ status: 'paid' })
    expect((await shop.find('a'))?.order).toMatchObject({ status: 'paid', paidAt: expect.any(Date) })
    expect(await shop.reschedule({ orderId: 'nobody', deadline: '1h' })).toMatchObject({ result: 'missing' })
  })

  test('an order that is paid before it is scheduled is known to be paid, and the shop is told that it was missing', async () => {
    const { shop } = await open()
    expect(await shop.pay('early')).toEqual({ orderId: 'early', result: 'missing', paidAt: expect.any(Date) })
    expect(await shop.schedule({ orderId: 'early', deadline: '15m' })).toMatchObject({ status: 'paid' })
    expect((await shop.find('early'))?.order).toMatchObject({ status: 'paid' })
  })

  test('after its cancellation an order stays cancelled, and each call says so', async () => {
    const shop = await open()
    const deadline = await scheduleDue(shop, { orders: 'redis' })
    await shop.settle()
    const { order } = (await shop.shop.find('unpaid')) ?? {}
    expect(order).toEqual({ status: 'cancelled', deadline: new Date(deadline), cancelledAt: expect.any(Date) })
    const { cancelledAt } = order as { cancelledAt: Date }
    const late = { result: 'cancelled', code: 'ORDER_ALREADY_CANCELLED', cancelledAt, deadline: new Date(deadline) }
    expect(await shop.shop.pay('unpaid')).toEqual({ orderId: 'unpaid', ...late })
    expect(await shop.shop.pay('unpaid')).toEqual({ orderId: 'unpaid', ...late })
    expect((await shop.shop.find('unpaid'))?.order).toEqual({ ...order, paidAt: expect.any(Date) })
    const settled = { orderId: 'unpaid', result: 'settled', status: 'cancelled' }
    expect(await shop.shop.withdraw('unpaid')).toEqual(settled)
    expect(await shop.shop.reschedule({ orderId: 'unpaid', deadline: '1h' })).toEqual(settled)
    const again = { orderId: 'unpaid', deadline: new Date(deadline), status: 'cancelled' }
    expect(await shop.shop.schedule({ orderId: 'unpaid', deadline })).toEqual({ ...again, result: 'unchanged' })
    expect(await shop.shop.schedule({ orderId: 'unpaid', deadline: '1h' })).toEqual({ ...again, result: 'conflict' })
    expect((await shop.shop.find('withdrawn'))?.order).toMatchObject({ status: 'withdrawn' })
    expect(await shop.shop.reschedule({ orderId: 'withdrawn', deadline: '1h' })).toMatchObject({ result: 'missing' })
    expect(await shop.shop.pay('withdrawn')).toMatchObject({ result: 'paid' })
  })
}

function tableContract(open: Open): void {
  test('pay is refused where the shop keeps its own table', async () => {
    const { shop } = await open()
    await expect(shop.pay('a')).rejects.toMatchObject({ code: 'NOT_RECORDED_HERE' })
  })

  test('its rows change as the outcomes say, and a finished check makes way for another one', async () => {
    const shop = await open()
    const deadline = await scheduleDue(shop, {})
    await shop.settle()
    const statuses = ['unpaid', 'paid', 'withdrawn', 'moved', 'missing'].map((orderId) => shop.statusOf(orderId))
    expect(statuses).toEqual(['cancelled', 'paid', 'pending', 'pending', undefined])
    // The same call again: the evidence stays.
    expect(await shop.shop.schedule({ orderId: 'unpaid', deadline })).toMatchObject({ result: 'unchanged' })
    expect(await shop.shop.withdraw('unpaid')).toEqual({ orderId: 'unpaid', result: 'missing' })
    const later = { orderId: 'unpaid', deadline: new Date(shop.now() + MINUTE) }
    expect(await shop.shop.schedule(later)).toEqual({ ...later, result: 'scheduled' })
    expect(await shop.shop.schedule({ orderId: 'paid', deadline })).toMatchObject({ result: 'scheduled' })
    expect(await shop.shop.reschedule({ ...later, orderId: 'missing' })).toMatchObject({ result: 'scheduled' })
    expect(await shop.shop.scheduleMany([later])).toEqual([{ ...later, result: 'unchanged' }])
  })
}
