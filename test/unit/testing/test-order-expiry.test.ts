import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { BoundedCalls } from '../../../src/client/bounded-call.ts'
import { asOrderExpiryError } from '../../../src/errors.ts'
import { OrderExpiry } from '../../../src/index.ts'
import { createTestOrderExpiry, type TestOrderExpiryOptions } from '../../../src/testing/index.ts'
import { MemoryChecks } from '../../../src/testing/memory-checks.ts'
import { MemoryRecords } from '../../../src/testing/memory-records.ts'
import { orderExpiryContract, type ShopOptions } from '../../contract/order-expiry.ts'

const MINUTE = 60_000
const NOON = Date.UTC(2030, 0, 1, 12)

describe('what OrderExpiry promises', () => {
  orderExpiryContract(async (options) => {
    const { expiry, table } = openWithTable(options)
    return {
      shop: expiry,
      now: () => expiry.now.getTime(),
      passTime: async () => {
        await expiry.advance(1)
      },
      checks: async () => expiry.waiting.length,
      settle: async () => {
        await expiry.advance(0)
      },
      place: (orderId, status) => table.set(orderId, status),
      statusOf: (orderId) => table.get(orderId),
    }
  })

  test('it is an OrderExpiry, for whoever injects or expects one, with each of its calls', () => {
    const expiry: OrderExpiry = createTestOrderExpiry()
    expect(expiry).toBeInstanceOf(OrderExpiry)
  })
})

test('the same time-out again is unchanged, where the check was never added', async () => {
  let now = NOON
  const checks = () => new MemoryChecks({ now: () => now })
  let open = checks()
  const calls = new BoundedCalls({ open: () => open, explain: asOrderExpiryError, close: async () => {} })
  const orders = new MemoryRecords({ now: () => now })
  const shop = new OrderExpiry({ redis: 'redis://127.0.0.1', orders: 'redis' }, { calls, orders, now: () => now })
  const first = await shop.schedule({ orderId: 'a', deadline: '15m' })
  open = checks()
  now += MINUTE
  expect(await shop.schedule({ orderId: 'a', deadline: '15m' })).toEqual({ ...first, result: 'unchanged' })
  expect(open.waiting()).toMatchObject([{ orderId: 'a', deadline: first.deadline.getTime() }])
})

/** A client without records of its own, and the table of a shop. */
function openWithTable({
  orders,
  paymentTimeout,
  ...options
}: ShopOptions & Omit<TestOrderExpiryOptions, keyof ShopOptions>) {
  const table = new Map<string, string>()
  const hooks: TestOrderExpiryOptions = {
    isUnpaid: (orderId) => (table.has(orderId) ? table.get(orderId) === 'pending' : null),
    onCancelled: ({ orderId }) => table.set(orderId, 'cancelled'),
  }
  const expiry = createTestOrderExpiry({
    ...(paymentTimeout && { paymentTimeout }),
    ...(orders ? { orders } : hooks),
    ...options,
  })
  return { expiry, table }
}

describe('advance', () => {
  test('settles what falls due in the order of its deadlines, with the clock at each, and tells what became of it', async () => {
    const expiry = createTestOrderExpiry({ orders: 'redis', now: NOON })
    await expiry.schedule({ orderId: 'third', deadline: '15m' })
    await expiry.schedule({ orderId: 'first', deadline: '5m' })
    await expiry.schedule({ orderId: 'second', deadline: new Date(NOON + 10 * MINUTE) })
    await expiry.schedule({ orderId: 'not yet', deadline: NOON + 15 * MINUTE + 1 })
    await expiry.pay('second')
    expect(expiry.waiting).toEqual(['first', 'second', 'third', 'not yet'])
    expect(await expiry.advance(15 * MINUTE)).toEqual([
      { orderId: 'first', outcome: 'cancelled', at: new Date(NOON + 5 * MINUTE) },
      { orderId: 'second', outcome: 'kept', at: new Date(NOON + 10 * MINUTE) },
      { orderId: 'third', outcome: 'cancelled', at: new Date(NOON + 15 * MINUTE) },
    ])
    expect(expiry.cancelled).toEqual(['first', 'third'])
    expect(expiry.now).toEqual(new Date(NOON + 15 * MINUTE))
    expect((await expiry.find('first'))?.order).toMatchObject({ cancelledAt: new Date(NOON + 5 * MINUTE) })
    expect(await expiry.advance('1ms')).toMatchObject([{ orderId: 'not yet', outcome: 'cancelled' }])
    expect(expiry.waiting).toEqual([])
  })

  test('orders of the same deadline are settled in the order of their scheduling', async () => {
    const expiry = createTestOrderExpiry({ orders: 'redis' })
    const orderIds = ['b', 'c', 'a']
    await expiry.scheduleMany(orderIds.map((orderId) => ({ orderId, deadline: '15m' })))
    await expiry.advance('15m')
    expect(expiry.cancelled).toEqual(orderIds)
  })

  test('nothing is cancelled a millisecond before its deadline, nor unless the clock is moved', async () => {
    const expiry = createTestOrderExpiry({ orders: 'redis', now: new Date(NOON) })
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    await expiry.schedule({ orderId: 'due', deadline: NOON })
    expect(expiry.cancelled).toEqual([])
    expect((await expiry.find('due'))?.check?.state).toBe('due')
    expect(await expiry.advance(15 * MINUTE - 1)).toMatchObject([{ orderId: 'due', at: new Date(NOON) }])
    expect(await expiry.advance(1)).toMatchObject([{ orderId: 'a' }])
  })

  test("asks the shop's own table at the deadline, and tells it of each cancellation", async () => {
    const told: unknown[] = []
    const { expiry, table } = openWithTable({ now: NOON, onCancelled: (order) => told.push(order) })
    table.set('a', 'pending').set('b', 'pending')
    for (const orderId of ['a', 'b', 'nowhere']) await expiry.schedule({ orderId, deadline: '15m' })
    table.set('b', 'paid')
    expect((await expiry.advance('1h')).map(({ outcome }) => outcome)).toEqual(['cancelled', 'kept', 'missing'])
    expect(told).toEqual([{ orderId: 'a', cancelledAt: new Date(NOON + 15 * MINUTE) }])
  })

  test('orders recorded here are told of, too', async () => {
    const told: string[] = []
    const expiry = createTestOrderExpiry({ orders: 'redis', onCancelled: ({ orderId }) => told.push(orderId) })
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    await expiry.advance('15m')
    expect(told).toEqual(['a'])
  })

  test('what is scheduled while an order is settled falls due in the same move', async () => {
    const expiry = createTestOrderExpiry({
      now: NOON,
      isUnpaid: () => true,
      onCancelled: async ({ orderId }) => {
        if (orderId === 'a') await expiry.schedule({ orderId: 'its successor', deadline: '5m' })
      },
    })
    await expiry.schedule({ orderId: 'a', deadline: '5m' })
    await expiry.schedule({ orderId: 'b', deadline: '15m' })
    await expiry.advance('15m')
    expect(expiry.cancelled).toEqual(['a', 'its successor', 'b'])
  })

  test('an order is being checked while the shop is asked: then it can be neither withdrawn nor moved in time', async () => {
    const seen: unknown[] = []
    const expiry = createTestOrderExpiry({
      isUnpaid: async (orderId) => {
        seen.push((await expiry.find(orderId))?.check?.state)
        seen.push((await expiry.withdraw(orderId)).result)
        seen.push((await expiry.reschedule({ orderId, deadline: '1h' })).result)
        return true
      },
    })
    await expiry.schedule({ orderId: 'a', deadline: '5m' })
    expect(await expiry.advance('5m')).toMatchObject([{ outcome: 'cancelled' }])
    expect(seen).toEqual(['checking', 'checking', 'checking'])
  })

  test('an order that is moved at the same moment is not cancelled before its new deadline', async () => {
    const expiry = createTestOrderExpiry({ orders: 'redis' })
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    const [moved, settled] = await Promise.all([
      expiry.reschedule({ orderId: 'a', deadline: '1h' }),
      expiry.advance('15m'),
    ])
    expect([moved.result, settled]).toEqual(['rescheduled', []])
    expect(await expiry.advance('45m')).toMatchObject([{ orderId: 'a', outcome: 'cancelled' }])
  })

  test('an order of which nobody says whether it is unpaid is not cancelled', async () => {
    const expiry = createTestOrderExpiry()
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    const refused = { code: 'NOT_RECORDED_HERE', message: expect.stringContaining('isUnpaid') }
    await expect(expiry.advance('15m')).rejects.toMatchObject(refused)
    expect(expiry.waiting).toEqual(['a'])
  })

  test.each([['pending'], [1], [{}]])('%j is no answer to whether an order is unpaid', async (answer) => {
    const expiry = createTestOrderExpiry({ isUnpaid: () => answer as unknown as boolean })
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    await expect(expiry.advance('15m')).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    expect(expiry.cancelled).toEqual([])
  })

  test('an error of the shop is its result; the clock stays there, and the order is asked for again', async () => {
    const failure = new Error('the table is locked')
    let fails = true
    const expiry = createTestOrderExpiry({ now: NOON, isUnpaid: () => (fails ? Promise.reject(failure) : true) })
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    await expect(expiry.advance('1h')).rejects.toBe(failure)
    expect(expiry.now).toEqual(new Date(NOON + 15 * MINUTE))
    fails = false
    expect(await expiry.advance(0)).toMatchObject([{ orderId: 'a', outcome: 'cancelled' }])
  })

  test.each([['15'], ['soon'], [-1], [Number.NaN], [Number.POSITIVE_INFINITY], [undefined], [null]])(
    'by %j is refused',
    async (by) => {
      const expiry = createTestOrderExpiry({ orders: 'redis', now: NOON })
      await expect(expiry.advance(by as number)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
      expect(expiry.now).toEqual(new Date(NOON))
    },
  )

  test.each([0.5, 1.25, 0.001])(
    'fractions of a millisecond are rounded up, as a Date has none: %p',
    async (fraction) => {
      const expiry = createTestOrderExpiry({ orders: 'redis', now: NOON + fraction })
      expect(expiry.now).toEqual(new Date(NOON + Math.ceil(fraction)))
      const { deadline } = await expiry.schedule({ orderId: 'a', deadline: '15m' })
      await expiry.advance(fraction)
      expect(expiry.now).toEqual(new Date(NOON + 2 * Math.ceil(fraction)))
      const again = { orderId: 'a', result: 'unchanged', deadline }
      expect(await expiry.schedule({ orderId: 'a', deadline: '15m' })).toEqual(again)
      expect(await expiry.schedule({ orderId: 'a', deadline })).toEqual(again)
      expect(await expiry.advance(deadline.getTime() - expiry.now.getTime())).toMatchObject([{ at: deadline }])
    },
  )

  test('a second one at the same time is refused, and harms nothing', async () => {
    const expiry = createTestOrderExpiry({ orders: 'redis' })
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    const first = expiry.advance('15m')
    await expect(expiry.advance('15m')).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    expect(await first).toMatchObject([{ orderId: 'a' }])
  })

  test('works after close, as the daemon does when the shop is down', async () => {
    const expiry = createTestOrderExpiry({ orders: 'redis' })
    await expiry.schedule({ orderId: 'a', deadline: '15m' })
    await expiry.close()
    expect(await expiry.advance('15m')).toMatchObject([{ orderId: 'a', outcome: 'cancelled' }])
  })
})

test('the examples of docs/library.md do what they say', async () => {
  const [, section = ''] = readFileSync('docs/library.md', 'utf8').split('## Tests without Redis')
  const [recorded = '', own = ''] = [...section.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code)
  const orders = new Map([['A-1', { status: 'pending' }]])
  const run = (code: string): Promise<ReturnType<typeof createTestOrderExpiry>> =>
    new Function('createTestOrderExpiry', 'orders', `return (async () => { ${code}; return expiry })()`)(
      createTestOrderExpiry,
      orders,
    )
  expect((await run(recorded.replace(/^import .*$/m, ''))).cancelled).toEqual(['A-1001'])
  const expiry = await run(own)
  await expiry.schedule({ orderId: 'A-1', deadline: '15m' })
  await expiry.advance('15m')
  expect(orders.get('A-1')).toEqual({ status: 'cancelled' })
})

describe('with fake timers', () => {
  afterEach(() => {
    jest.useRealTimers()
  })

  test('each call answers, also many at the same moment, and the clock begins at the time of the fake', async () => {
    jest.useFakeTimers({ now: NOON })
    const expiry = createTestOrderExpiry({ orders: 'redis' })
    const orderIds = Array.from({ length: 100 }, (_, n) => `${n}`)
    await Promise.all(orderIds.map((orderId) => expiry.schedule({ orderId })))
    await Promise.all(orderIds.slice(50).map((orderId) => expiry.pay(orderId)))
    await expiry.reschedule({ orderId: '1', deadline: '1h' })
    await expiry.withdraw('0')
    expect((await expiry.advance('5m')).map(({ at }) => at)).toEqual(Array(98).fill(new Date(NOON + 5 * MINUTE)))
    expect(expiry.cancelled).toHaveLength(48)
    expect(jest.getTimerCount()).toBe(0)
  })
})

test.each<[options: object | null, why: string]>([
  [{ timeout: '15m' }, 'did you mean paymentTimeout?'],
  [{ clock: NOON }, 'did you mean now?'],
  [{ onCancel: () => {} }, 'did you mean onCancelled?'],
  [{ redis: 'redis://127.0.0.1:6379' }, 'unknown field "redis"'],
  [{ now: 'noon' }, 'expected a Date or epoch milliseconds'],
  [{ now: new Date(Number.NaN) }, 'expected a Date or epoch milliseconds'],
  [{ now: Number.NaN }, 'expected a Date or epoch milliseconds'],
  [{ isUnpaid: true }, 'expected a function'],
  [{ orders: 'redis', isUnpaid: () => true }, 'the record decides'],
  [{ orders: 'postgres' }, 'orders'],
  [{ paymentTimeout: '300' }, 'paymentTimeout'],
  [null, 'createTestOrderExpiry'],
])('options %j are refused, saying why', (options, why) => {
  const refused = { code: 'INVALID_OPTIONS', message: expect.stringContaining(why) }
  expect(() => createTestOrderExpiry(options as TestOrderExpiryOptions)).toThrow(expect.objectContaining(refused))
})
